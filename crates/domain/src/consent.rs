//! What a cell of a list, or a reply, says about consent. Fails closed: a text that is
//! neither is never a yes.

use unicode_normalization::UnicodeNormalization;

/// What a cell says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Consent {
    Yes,
    No,
    /// The person asked to be left alone: a no to every category.
    OptOut,
    Unreadable,
}

const YES: &[&str] = &[
    "yes",
    "y",
    "true",
    "1",
    "1.0",
    "हाँ",
    "हां",
    "opted in",
    "opted-in",
    "optin",
    "opt in",
    "opt-in",
    "subscribed",
];
const NO: &[&str] =
    &["", "no", "n", "false", "0", "0.0", "नहीं", "नही", "none", "null", "nil", "na", "n a", "-"];
/// A whole reply that ends all messages.
/// Source: keyword tables of public bots; other languages than English are ours.
const STOP: &[&str] = &[
    "stop",
    "stopall",
    "stop all",
    "unsubscribe",
    "cancel",
    "end",
    "quit",
    "revoke",
    "optout",
    "opt out",
    "remove me",
    "halt",
    "stop promotions",
    "stop messages",
    "बंद",
    "बंद करो",
    "बंद करें",
    "बन्द करो",
    "बन्द करें",
    "रोको",
    "रोकें",
    "रुको",
    "मत भेजो",
    "मैसेज मत भेजो",
    "संदेश बंद करो",
    "सदस्यता समाप्त",
    "हटाओ",
    "नहीं चाहिए",
    "band",
    "band karo",
    "bandh karo",
    "band kro",
    "roko",
    "rok do",
    "mat bhejo",
    "msg mat bhejo",
    "nahi chahiye",
    "hatao",
    "બંધ",
    "બંધ કરો",
    "थांबवा",
    "बंद करा",
    "நிறுத்து",
    "ఆపండి",
    "বন্ধ",
    "বন্ধ করুন",
    "ನಿಲ್ಲಿಸಿ",
];
/// A whole reply that begins them again.
const START: &[&str] = &[
    "start",
    "unstop",
    "yes start",
    "resume",
    "subscribe",
    "optin",
    "opt in",
    "शुरू",
    "शुरू करो",
    "शुरू करें",
    "चालू",
    "चालू करो",
    "फिर से भेजो",
    "shuru",
    "shuru karo",
    "chalu",
    "chalu karo",
    "શરૂ કરો",
    "सुरू करा",
    "தொடங்கு",
    "ప్రారంభించండి",
    "শুরু",
    "ಪ್ರಾರಂಭಿಸಿ",
];
/// What lists write for the same.
const LISTED: &[&str] = &[
    "stopped",
    "unsubscribed",
    "cancelled",
    "revoked",
    "opted out",
    "optedout",
    "remove",
    "removed",
    "withdrawn",
    "withdraw",
    "withdrew",
    "consent withdrawn",
    "dnd",
    "do not disturb",
    "do not contact",
    "do not send",
    "dont send",
    "blocked",
    "blacklisted",
    "blocklisted",
    "inactive",
    "declined",
    "denied",
    "refused",
];

/// Reads one cell; an empty one is a no.
pub fn read(text: &str) -> Consent {
    let plain = plain(text);
    let seen = text.trim_matches(|c: char| c.is_whitespace() || crate::text::is_unseen(c));
    if plain.is_empty() && !matches!(seen, "" | "-" | "--" | "–" | "—") {
        return Consent::Unreadable;
    }
    let is = |words: &[&str]| words.contains(&plain.as_str());
    if is(STOP) || is(LISTED) {
        Consent::OptOut
    } else if YES.contains(&seen.nfc().collect::<String>().to_lowercase().as_str()) {
        Consent::Yes
    } else if is(NO) {
        Consent::No
    } else {
        Consent::Unreadable
    }
}

/// Whether a whole reply is a STOP, in the words of any language that we know.
pub fn is_stop(reply: &str) -> bool {
    STOP.contains(&plain(reply).as_str())
}

/// Whether a whole reply takes a STOP back.
pub fn is_start(reply: &str) -> bool {
    START.contains(&plain(reply).as_str())
}

/// NFC, lower case, without punctuation, joiners and pictures, single spaces.
fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for c in text.nfc().flat_map(char::to_lowercase) {
        let decimal = c == '.' && plain.ends_with(|c: char| c.is_ascii_digit());
        if c.is_alphanumeric() || is_mark(c) || decimal {
            plain.push(c);
        } else if !crate::text::is_unseen(c) && c != '\'' && c != '\u{2019}' {
            plain.push(' ');
        }
    }
    let words: Vec<&str> =
        plain.split_whitespace().filter(|w| !matches!(*w, "please" | "plz" | "कृपया")).collect();
    words.join(" ")
}

/// Vowel signs and viramas of Indian scripts: parts of a word, not punctuation.
fn is_mark(c: char) -> bool {
    let danda = matches!(c, '\u{964}' | '\u{965}' | '\u{970}');
    matches!(c, '\u{300}'..='\u{36f}' | '\u{900}'..='\u{dff}') && !danda
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_is_yes_only_when_it_says_so() {
        for text in ["yes", " Y ", "TRUE", "1", "1.0", "हाँ", "Opted-In"] {
            assert_eq!(read(text), Consent::Yes, "{text}");
        }
        for text in ["", "  ", "no", "FALSE", "0", "नहीं", "-"] {
            assert_eq!(read(text), Consent::No, "{text}");
        }
        for text in [
            "STOP",
            "Stop!",
            "opted out",
            "opt-out",
            "Unsubscribed",
            "withdrawn",
            "बंद करो",
            "BAND KARO",
            "stop please",
        ] {
            assert_eq!(read(text), Consent::OptOut, "{text}");
        }
        for text in ["perhaps", "2", "-1", "1-", "yes?", "yes?no", "\u{fffd}", "yes, but"] {
            assert_eq!(read(text), Consent::Unreadable, "{text}");
        }
    }

    #[test]
    fn only_a_whole_reply_is_a_stop() {
        for reply in ["Stop", "STOP!!", " stop. ", "please stop", "बंद करो।", "Band karo 🙏", "ನಿಲ್ಲಿಸಿ"]
        {
            assert!(is_stop(reply), "{reply}");
        }
        for reply in ["don't stop", "stop loss at 200?", "inactive", "yes", "", "withdrawn"] {
            assert!(!is_stop(reply), "{reply}");
        }
        assert!(is_start("START") && is_start("शुरू करो") && !is_start("yes"));
    }
}

//! Phone numbers that people write into free text: they do not go where nothing can be erased.

/// Digits of a phone number: what WhatsApp takes has ten to thirteen, ids of business numbers have more.
const DIGITS: std::ops::RangeInclusive<usize> = 10..=13;

/// The text with `…` in place of what may be a phone number, in any script's digits and with the signs
/// that people put between them. Dates stay.
pub fn without_phones(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let (mut out, mut at) = (String::with_capacity(text.len()), 0);
    while at < chars.len() {
        let end = number_end(&chars[at..]);
        if end == 0 {
            out.push(chars[at]);
            at += 1;
            continue;
        }
        let found = &chars[at..at + end];
        let digits = found.iter().filter(|c| c.is_numeric()).count();
        match DIGITS.contains(&digits) && !is_date(found) {
            true => out.push('…'),
            false => out.extend(found),
        }
        at += end;
    }
    out
}

/// Length of what may be one number at the beginning: digits with single signs between them. 0: none.
fn number_end(chars: &[char]) -> usize {
    let is_between =
        |c: char| matches!(c, ' ' | '-' | '.' | '(' | ')' | '/' | '\u{a0}' | '\u{2011}');
    if !chars.first().is_some_and(|c| c.is_numeric()) {
        return 0;
    }
    let (mut end, mut signs) = (0, 0);
    for (at, c) in chars.iter().enumerate() {
        if c.is_numeric() {
            (end, signs) = (at + 1, 0);
        } else if is_between(*c) && signs < 2 {
            signs += 1;
        } else {
            break;
        }
    }
    end
}

/// `2026-11-21`, alone or with an hour behind it.
fn is_date(chars: &[char]) -> bool {
    let shape: String = chars.iter().map(|c| if c.is_ascii_digit() { '0' } else { *c }).collect();
    matches!(shape.as_str(), "0000-00-00" | "0000-00-00 00" | "0000-00-00 0")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_way_a_phone_number_is_written_it_is_taken_out() {
        let written = [
            "9876500001",
            "+919876500001",
            "09876500001",
            "+91 98765 00001",
            "98765 00001",
            "+91-98765-00001",
            "(98765) 00001",
            "+91 (98765) 00001",
            "+91.98765.00001",
            "९८७६५००००१",
            "+91 9876500001",
        ];
        for text in written {
            let said = without_phones(&format!("called {text}, twice"));
            assert!(said.contains('…') && !said.contains(char::is_numeric), "{text}: {said}");
        }
    }

    #[test]
    fn what_is_no_phone_number_stays() {
        let kept = [
            "run daily-pack@2026-11-21 becomes paused: asked by the desk",
            "numbers pause 106540352242922: banned",
            "templates submit daily_pack_v2 (hi)",
            "since 2026-11-21 06:00 it is slow",
            "ticket 4711, error 131049",
        ];
        for text in kept {
            assert_eq!(without_phones(text), text);
        }
    }
}

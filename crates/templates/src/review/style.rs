//! What people would regret: promotion in a utility template, shouting, walls of text. Warnings,
//! but for promotion, which makes Meta charge seven times as much.

use super::Remarks;
use crate::draft::{ButtonKind, Draft, DraftCategory};

const EMOJIS_MAX: usize = 3;
/// Characters without a line break.
const UNBROKEN_MAX: usize = 300;
/// A capital word of so many letters shouts; shorter ones are names such as NIFTY or SIP.
const SHOUTED_LETTERS: usize = 4;
const SHOUTED_WORDS: usize = 3;

pub(super) const SHORTENERS: &[&str] = &[
    "bit.ly",
    "tinyurl.com",
    "goo.gl",
    "t.co",
    "ow.ly",
    "is.gd",
    "cutt.ly",
    "rb.gy",
    "rebrand.ly",
    "shorturl.at",
    "tiny.cc",
    "t.ly",
    "bl.ink",
    "buff.ly",
];

/// Words that make Meta file a utility template under marketing, at word boundaries.
const PROMOTIONS: &[&str] = &[
    "% off",
    "percent off",
    "% discount",
    "flat off",
    "flat discount",
    "get a discount",
    "discount code",
    "festive discount",
    "on sale",
    "sale is on",
    "sale is live",
    "mega sale",
    "flash sale",
    "big sale",
    "special offer",
    "limited offer",
    "offer ends",
    "offer valid",
    "exclusive offer",
    "exclusive deal",
    "launch offer",
    "offers for you",
    "limited time",
    "cashback",
    "coupon code",
    "promo",
    "promo code",
    "best deal",
    "great deals",
    "hot deal",
    "free gift",
    "for free",
    "get free",
    "free trial",
    "free delivery",
    "free shipping",
    "bonus points",
    "lucky draw",
    "giveaway",
    "hurry",
    "buy now",
    "shop now",
    "order now",
    "last chance",
    "upgrade now",
    "refer a friend",
    "refer and earn",
    "save up to",
    "best price",
    "new arrival",
    "don't miss out",
    "अभी खरीदें",
    "सीमित समय",
    "મફત ભેટ",
    "કેશબેક",
];

/// Words that promotions have, and letters about jobs, refunds and deeds as well.
const MAYBE_PROMOTIONS: &[&str] = &[
    "sale",
    "discount",
    "offer",
    "deal",
    "free",
    "gift",
    "bonus",
    "win",
    "winner",
    "coupon",
    "exclusive",
    "introducing",
    "book now",
    "don't miss",
    "छूट",
    "ऑफर",
    "ऑफ़र",
    "मुफ्त",
    "मुफ़्त",
    "सेल",
    "ઓફર",
    "ડિસ્કાઉન્ટ",
    "મફત",
    "सवलत",
    "मोफत",
    "தள்ளுபடி",
    "இலவசம்",
    "சலுகை",
    "తగ్గింపు",
    "ఉచితం",
    "ఆఫర్",
    "ছাড়",
    "অফার",
    "বিনামূল্যে",
];

/// Where such a word is no promotion.
const NO_PROMOTIONS: &[&str] = &[
    "free of charge",
    "feel free",
    "toll free",
    "sugar free",
    "tax free",
    "risk free rate",
    "offer letter",
    "job offer",
    "offer document",
    "offer for sale",
    "coupon payment",
    "coupon rate",
    "sale deed",
    "sale of securities",
    "point of sale",
    "bonus issue",
    "bonus shares",
    "free float",
    "gift deed",
    "gift nifty",
    "gift city",
];

/// Names that are written in capitals.
const ACRONYMS: &[&str] = &[
    "SEBI",
    "BASL",
    "NISM",
    "NIFTY",
    "SENSEX",
    "AMFI",
    "NSDL",
    "CDSL",
    "ELSS",
    "NEFT",
    "IMPS",
    "RTGS",
    "FOMC",
    "USDINR",
    "CAGR",
    "XIRR",
    "BANKNIFTY",
    "PARRVA",
    "IRDAI",
    "PFRDA",
    "STOP",
];

/// How a reader gets rid of marketing, in a footer or on a button.
const WAYS_OUT: &[&str] = &[
    "stop",
    "unsubscribe",
    "opt out",
    "opt-out",
    "opt",
    "बंद",
    "रोक",
    "રોક",
    "બંધ",
    "थांब",
    "நிறுத்",
    "ఆపు",
    "ఆపండి",
    "বন্ধ",
];

pub(super) fn check(draft: &Draft, remarks: &mut Remarks) {
    let fixed = fixed_text(draft);
    if draft.category == DraftCategory::Utility {
        promotion(&fixed, draft, remarks);
    }
    if draft.category == DraftCategory::Marketing && !has_way_out(draft) {
        let reason = "nothing says how to stop it: a footer \"Reply STOP\" or a quick reply keeps people from blocking the number";
        remarks.warn("marketing-no-way-out", "footer", reason);
    }
    for (place, text) in &fixed {
        one_text(place, text, remarks);
    }
    let asks = !draft.buttons.is_empty() || !draft.cards.is_empty();
    if draft.category == DraftCategory::Marketing && !asks && !draft.body.contains("http") {
        let reason = "no button and no link: a reader can do nothing but block";
        remarks.warn("style-no-action", "buttons", reason);
    }
    let emojis = count_emojis(&draft.body);
    if emojis > EMOJIS_MAX {
        let reason = format!("{emojis} emojis, more than {EMOJIS_MAX} read like spam");
        remarks.warn("style-emoji", "body", reason);
    }
}

/// Signs that nobody sees, that steer a terminal, or that turn the direction of a text; and letters of
/// another alphabet that look like those beside them.
pub(super) fn signs(draft: &Draft, remarks: &mut Remarks) {
    let mut texts = fixed_text(draft);
    texts
        .extend(draft.samples.iter().map(|(name, text)| (format!("samples.{name}"), text.clone())));
    for (place, text) in &texts {
        let odd = |c: char| {
            (c.is_control() && !matches!(c, '\n' | '\r' | '\t'))
                || matches!(c, '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2060}'..='\u{2064}'
                    | '\u{feff}' | '\u{ad}' | '\u{34f}' | '\u{202a}'..='\u{202e}'
                    | '\u{2066}'..='\u{2069}' | '\u{e0000}'..='\u{e007f}')
        };
        if text.contains(odd) {
            let reason = "it holds signs that nobody sees, or that turn the direction of the text";
            remarks.error("text-signs", place, reason);
        }
        let latin = |c: char| c.is_ascii_alphabetic();
        let alike = |c: char| matches!(c, '\u{370}'..='\u{3ff}' | '\u{400}'..='\u{52f}');
        let mixed = |word: &str| word.contains(latin) && word.contains(alike);
        if text.split(|c: char| !c.is_alphabetic()).any(mixed) {
            let reason = "a word mixes Latin letters with Greek or Cyrillic ones that look alike";
            remarks.error("text-signs", place, reason);
        }
    }
}

/// The texts that stand in the template itself, each with its place.
fn fixed_text(draft: &Draft) -> Vec<(String, String)> {
    let mut texts = vec![
        ("header".to_owned(), super::strip_variables(draft.header_text())),
        ("body".to_owned(), super::strip_variables(&draft.body)),
        ("footer".to_owned(), draft.footer.clone().unwrap_or_default()),
    ];
    for (at, button) in draft.buttons.iter().enumerate() {
        texts.push((format!("buttons[{at}].text"), button.text.clone()));
    }
    for (at, card) in draft.cards.iter().enumerate() {
        let body = super::strip_variables(card.body.as_deref().unwrap_or(""));
        texts.push((format!("cards[{at}].body"), body));
        for (n, button) in card.buttons.iter().enumerate() {
            texts.push((format!("cards[{at}].buttons[{n}].text"), button.text.clone()));
        }
    }
    texts.retain(|(_, text)| !text.trim().is_empty());
    texts
}

fn promotion(fixed: &[(String, String)], draft: &Draft, remarks: &mut Remarks) {
    const RULE: &str = "utility-promotes";
    for (place, text) in fixed {
        let plain = super::packs::plain(text).replace('-', " ");
        let plain = NO_PROMOTIONS.iter().fold(plain, |text, harmless| text.replace(harmless, " "));
        let found = |words: &[&'static str]| {
            words.iter().find(|word| super::packs::holds(&plain, word)).copied()
        };
        if let Some(word) = found(PROMOTIONS) {
            let reason = format!(
                "\"{word}\" reads like promotion: Meta files the template under marketing, at seven times the price"
            );
            remarks.error(RULE, place, reason);
        } else if let Some(word) = found(MAYBE_PROMOTIONS) {
            let reason = format!(
                "\"{word}\" may read like promotion: Meta would file the template under marketing, at seven times the price"
            );
            remarks.warn(RULE, place, reason);
        }
    }
    use ButtonKind::{Catalog, CopyCode, Mpm, Spm};
    let sells = |kind| matches!(kind, CopyCode | Catalog | Mpm | Spm);
    if let Some(at) = draft.buttons.iter().position(|button| sells(button.kind)) {
        let place = format!("buttons[{at}]");
        let kind = draft.buttons[at].kind.as_str();
        let reason = format!("a {kind} button is for category marketing");
        remarks.error("utility-promotes", &place, reason);
    }
}

fn has_way_out(draft: &Draft) -> bool {
    let says = |text: &str| {
        let plain = super::packs::plain(text);
        WAYS_OUT.iter().any(|word| plain.contains(word))
    };
    let reply = |button: &crate::draft::DraftButton| {
        button.kind == ButtonKind::QuickReply && says(&button.text)
    };
    says(draft.footer.as_deref().unwrap_or(""))
        || says(&draft.body)
        || draft.buttons.iter().any(reply)
}

fn one_text(place: &str, text: &str, remarks: &mut Remarks) {
    if text.contains("!!") || text.contains("!?!") {
        remarks.warn("style-exclamation", place, "!! shouts: one mark is enough");
    }
    let letters = |word: &&str| {
        let letters: Vec<char> = word.chars().filter(|c| c.is_alphabetic()).collect();
        let shouts = letters.len() >= SHOUTED_LETTERS && letters.iter().all(|c| c.is_uppercase());
        shouts && !ACRONYMS.contains(&letters.into_iter().collect::<String>().as_str())
    };
    let shouted = text.split_whitespace().filter(letters).count();
    if shouted >= SHOUTED_WORDS {
        let reason = format!("{shouted} words in capitals shout");
        remarks.warn("style-capitals", place, reason);
    }
    let unbroken = text.split('\n').map(|line| line.chars().count()).max().unwrap_or(0);
    if unbroken > UNBROKEN_MAX {
        let reason = format!("{unbroken} characters without a line break are not read on a phone");
        remarks.warn("style-wall-of-text", place, reason);
    }
    let lower = text.to_lowercase();
    if SHORTENERS.iter().any(|host| lower.contains(&format!("{host}/"))) {
        let reason = "a shortened address hides where it leads and is often refused";
        remarks.warn("style-short-link", place, reason);
    }
}

/// Signs that are drawn as pictures. Joined ones (families, flags, skin tones) count once.
fn count_emojis(text: &str) -> usize {
    let (mut n, mut joined, mut flag) = (0, false, false);
    for c in text.chars() {
        let letter = matches!(c, '\u{1f1e6}'..='\u{1f1ff}');
        let tone = matches!(c, '\u{1f3fb}'..='\u{1f3ff}');
        let follows = joined || tone || (letter && flag);
        if is_emoji(c) && !follows {
            n += 1;
        }
        flag = letter && !flag;
        joined = c == '\u{200d}';
    }
    n
}

pub(super) fn is_emoji(c: char) -> bool {
    matches!(c,
        '\u{1f1e6}'..='\u{1f1ff}' | '\u{1f300}'..='\u{1faff}' | '\u{2600}'..='\u{27bf}'
        | '\u{2b05}'..='\u{2b07}' | '\u{2b1b}' | '\u{2b1c}' | '\u{2b50}' | '\u{2b55}'
        | '\u{231a}' | '\u{231b}' | '\u{23e9}'..='\u{23fa}' | '\u{3030}' | '\u{303d}')
}

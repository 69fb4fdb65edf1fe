//! Each rule of the review has a draft that it speaks of.

use std::collections::BTreeSet;

use super::*;
use crate::draft::{
    Authentication, ButtonKind, Card, DraftButton, DraftHeader, DraftHeaderFormat as Format, Offer,
};

/// A draft in which nothing is wrong.
fn good() -> Draft {
    let toml = r#"
        name = "daily_pack_v2"
        language = "en"
        category = "utility"
        body = "Good morning {{first_name}}, your pack for today is here.\n{{headline}} is the first line of it."
        footer = "Reply STOP to opt out"
        [header]
        format = "text"
        text = "Your pack of {{date}}"
        [[buttons]]
        kind = "url"
        text = "Open the pack"
        url = "https://packs.example.in/{{1}}"
        sample = "https://packs.example.in/p/1"
        [samples]
        first_name = "Asha"
        headline = "NIFTY up 0.4 %"
        date = "27 November"
    "#;
    toml::from_str(toml).unwrap()
}

fn rules(draft: &Draft) -> BTreeSet<&'static str> {
    review(draft).into_iter().map(|remark| remark.rule).collect()
}

fn button(kind: ButtonKind, text: &str) -> DraftButton {
    let (url, phone_number, sample) = match kind {
        ButtonKind::Url => (Some("https://a.example.in/x".to_owned()), None, None),
        ButtonKind::PhoneNumber => (None, Some("+912240000000".to_owned()), None),
        ButtonKind::CopyCode => (None, None, Some("CARIBE25".to_owned())),
        _ => (None, None, None),
    };
    let text = text.to_owned();
    DraftButton { kind, text, url, phone_number, sample, options: Default::default() }
}

fn header(format: Format) -> DraftHeader {
    DraftHeader { format, text: None, sample: Some("picture.png".to_owned()) }
}

fn card() -> Card {
    Card {
        header: Some(header(Format::Image)),
        body: Some("A card".to_owned()),
        buttons: vec![button(ButtonKind::Url, "Open")],
        samples: Default::default(),
    }
}

/// A change to a good draft, and the rule that must speak of it.
type Case = (&'static str, fn(&mut Draft));

const TEXTS: &[Case] = &[
    ("template-name", |d| d.name = "Daily-Pack".into()),
    ("template-name", |d| d.name = String::new()),
    ("template-language", |d| d.language = "en-US".into()),
    ("template-language", |d| d.language = "English".into()),
    ("text-signs", |d| d.body = "A pack \u{202e}for you is here.".into()),
    ("text-signs", |d| d.body = "A pack with \u{430}ssured news is here.".into()),
    ("text-signs", |d| d.footer = Some("a\u{1b}[31mb".into())),
    ("header-empty", |d| d.header.as_mut().unwrap().text = Some(" ".into())),
    ("header-long", |d| d.header.as_mut().unwrap().text = Some("x".repeat(61))),
    ("header-signs", |d| d.header.as_mut().unwrap().text = Some("*Your* pack".into())),
    ("header-signs", |d| d.header.as_mut().unwrap().text = Some("Pack \u{1f600}".into())),
    ("header-sample", |d| {
        d.header = Some(DraftHeader { format: Format::Image, text: None, sample: None })
    }),
    ("header-sample", |d| d.header = Some(header(Format::Image))),
    ("header-kind", |d| d.header = Some(header(Format::Gif))),
    ("header-kind", |d| {
        d.header = Some(DraftHeader { text: Some("x".into()), ..header(Format::Video) })
    }),
    ("body-empty", |d| d.body = "\n".into()),
    ("body-long", |d| d.body = "word ".repeat(205)),
    ("body-rendered-long", |d| {
        d.samples.insert("headline".into(), "x".repeat(1_000));
    }),
    ("body-blank-lines", |d| d.body = "One line.\n\n\nAnother line of it.".into()),
    ("footer-long", |d| d.footer = Some("x".repeat(61))),
    ("footer-variable", |d| d.footer = Some("For {{first_name}}".into())),
    ("footer-signs", |d| d.footer = Some("a\nb".into())),
    ("footer-empty", |d| d.footer = Some(String::new())),
    ("variable-first", |d| d.body = "{{first_name}}, the pack of today is here.".into()),
    ("variable-last", |d| d.body = "Here is the pack of today, {{first_name}}".into()),
    ("variable-last", |d| d.body = "Here is the pack of today, {{first_name}}.".into()),
    ("variable-touching", |d| d.body = "Dear {{first_name}} {{headline}} is news of today.".into()),
    ("variable-braces", |d| d.body = "Dear {first_name}, it is a morning.".into()),
    ("variable-braces", |d| d.body = "Dear {{first_name}, it is a morning.".into()),
    ("variable-form", |d| d.body = "Dear {{ first_name }}, it is a morning.".into()),
    ("variable-first", |d| d.body = "*{{first_name}}*, the pack of today is here.".into()),
    ("variable-form", |d| d.body = "Dear {{First Name}}, it is a morning.".into()),
    ("variable-form", |d| d.body = "Dear {{}}, it is a morning.".into()),
    ("variable-form", |d| d.body = "Dear {{1}}, it is a morning.".into()),
    ("variable-signs", |d| d.body = "Dear {{first$name}}, it is a morning.".into()),
    ("variable-density", |d| d.body = "Dear {{first_name}}: {{headline}} now".into()),
    ("variable-header", |d| {
        d.header.as_mut().unwrap().text = Some("{{date}} and {{first_name}}".into())
    }),
    ("variable-sequence", |d| {
        d.parameter_format = crate::ParameterFormat::Positional;
        d.body = "Dear {{1}}, your pack of {{3}} is here.".into();
    }),
    ("sample-missing", |d| {
        d.samples.remove("headline");
    }),
    ("sample-missing", |d| {
        d.samples.remove("date");
    }),
    ("sample-missing", |d| d.buttons[0].sample = None),
    ("sample-unused", |d| {
        d.samples.insert("other".into(), "x".into());
    }),
    ("sample-form", |d| {
        d.samples.insert("headline".into(), "two\nlines".into());
    }),
];

const BUTTONS: &[Case] = &[
    ("button-count", |d| {
        d.buttons = (0..11).map(|n| button(ButtonKind::QuickReply, &format!("b{n}"))).collect()
    }),
    ("button-count", |d| {
        d.buttons = ["a", "b", "c"].map(|text| button(ButtonKind::Url, text)).to_vec()
    }),
    ("button-count", |d| {
        d.buttons = ["a", "b"].map(|text| button(ButtonKind::PhoneNumber, text)).to_vec()
    }),
    ("button-group", |d| {
        use ButtonKind::{QuickReply, Url};
        d.buttons = vec![button(QuickReply, "a"), button(Url, "b"), button(QuickReply, "c")];
    }),
    ("button-label", |d| d.buttons[0].text = "x".repeat(26)),
    ("button-label", |d| d.buttons[0].text = String::new()),
    ("button-label", |d| d.buttons[0].text = "Open \u{1f600}".into()),
    ("button-twice", |d| d.buttons.push(button(ButtonKind::Url, "OPEN the pack"))),
    ("button-alone", |d| d.buttons.push(button(ButtonKind::Mpm, "View"))),
    ("button-url", |d| d.buttons[0].url = Some("packs.example.in/1".into())),
    ("button-url", |d| d.buttons[0].url = Some("https://{{1}}".into())),
    ("button-url", |d| d.buttons[0].url = Some("https://a.example.in/{{1}}/x".into())),
    ("button-url", |d| d.buttons[0].url = Some("https://wa.me/912240000000".into())),
    ("button-url", |d| d.buttons[0].url = None),
    ("style-short-link", |d| d.buttons[0].url = Some("https://bit.ly/3xyz".into())),
    ("button-phone", |d| {
        d.buttons = vec![button(ButtonKind::PhoneNumber, "Call")];
        d.buttons[0].phone_number = Some("call us".into());
    }),
    ("button-code", |d| {
        d.buttons = vec![button(ButtonKind::CopyCode, "")];
        d.buttons[0].sample = Some("TEN-OFF".into());
    }),
    ("button-needs", |d| d.buttons = vec![button(ButtonKind::Flow, "Book")]),
    ("button-hidden", |d| {
        d.buttons = ["a", "b", "c", "d"].map(|text| button(ButtonKind::QuickReply, text)).to_vec()
    }),
];

const KINDS: &[Case] = &[
    ("authentication-form", |d| d.category = DraftCategory::Authentication),
    ("authentication-form", |d| d.buttons.push(button(ButtonKind::Otp, ""))),
    ("authentication-form", |d| {
        d.category = DraftCategory::Authentication;
        d.authentication =
            Some(Authentication { code_expiration_minutes: Some(91), ..Default::default() });
    }),
    ("offer-form", |d| {
        d.limited_time_offer = Some(Offer { text: "Soon over".into(), has_expiration: true })
    }),
    ("carousel-form", |d| d.cards = vec![card()]),
    ("carousel-form", |d| d.cards = vec![card(), Card { body: None, ..card() }]),
    ("body-long", |d| d.cards = vec![card(), Card { body: Some("x".repeat(161)), ..card() }]),
    ("products-form", |d| d.buttons = vec![button(ButtonKind::Spm, "View")]),
    ("products-form", |d| d.buttons = vec![button(ButtonKind::Catalog, "View catalog")]),
    ("ttl-range", |d| d.ttl_seconds = Some(29)),
    ("ttl-range", |d| {
        d.category = DraftCategory::Marketing;
        d.ttl_seconds = Some(-1);
    }),
    ("utility-promotes", |d| d.body = "Dear reader, 20% off is waiting for you today.".into()),
    ("utility-promotes", |d| d.body = "Dear reader, a DISCOUNT waits.".into()),
    ("utility-promotes", |d| d.body = "नमस्ते, आज विशेष छूट मिल रही है।".into()),
    ("utility-promotes", |d| d.buttons = vec![button(ButtonKind::CopyCode, "")]),
    ("marketing-no-way-out", |d| {
        d.category = DraftCategory::Marketing;
        d.footer = None;
    }),
    ("style-emoji", |d| d.body = "A pack \u{1f600} \u{1f600} \u{1f680} \u{1f680} is here.".into()),
    ("style-capitals", |d| d.body = "READ YOUR PACK TODAY PLEASE.".into()),
    ("style-exclamation", |d| d.body = "Your pack is here!!!".into()),
    ("style-no-action", |d| {
        d.category = DraftCategory::Marketing;
        d.buttons.clear();
    }),
    ("style-wall-of-text", |d| d.body = "word ".repeat(70)),
];

#[test]
fn a_good_draft_has_no_remark() {
    assert_eq!(review(&good()), []);
}

#[test]
fn each_rule_speaks_of_what_it_is_for() {
    for (rule, change) in TEXTS.iter().chain(BUTTONS).chain(KINDS) {
        let mut draft = good();
        change(&mut draft);
        assert!(rules(&draft).contains(rule), "{rule}: {:?}", review(&draft));
    }
}

#[test]
fn every_rule_has_a_case() {
    let ruled: BTreeSet<_> = TEXTS.iter().chain(BUTTONS).chain(KINDS).map(|case| case.0).collect();
    let elsewhere = ["same-text", "same-name", "translations-differ"];
    let packs = ["pack-banned", "pack-required", "pack-unreviewed"];
    for rule in REVIEW_RULES {
        let covered = ruled.contains(rule) || elsewhere.contains(rule) || packs.contains(rule);
        assert!(covered, "{rule} has no case");
    }
}

#[test]
fn words_are_found_between_boundaries_only() {
    let mut draft = good();
    draft.body = "Dear reader, the wholesale price index and freedom are news of today.".into();
    assert_eq!(review(&draft).iter().filter(|r| r.rule == "utility-promotes").count(), 0);
    // Flags and families are one sign each.
    draft.body =
        "Flags \u{1f1ee}\u{1f1f3} and \u{1f468}\u{200d}\u{1f469}\u{200d}\u{1f467} are here.".into();
    assert!(!rules(&draft).contains("style-emoji"));
}

#[test]
fn ordinary_letters_are_no_promotion() {
    for text in [
        "Your statement was sent free of charge, feel free to call us.",
        "Our toll-free number is on the card.",
        "Your offer letter and the job offer are attached.",
        "The coupon payment on the bond is here, and so is the sale deed.",
        "SEBI, BASL and NISM have new forms for you.",
    ] {
        let draft = Draft { body: text.into(), ..good() };
        let odd = review(&draft);
        let odd: Vec<_> = odd.iter().filter(|r| r.rule != "sample-unused").collect();
        assert!(odd.is_empty(), "{text}: {odd:?}");
    }
    let maybe = Draft { body: "A discount was adjusted in the refund of today.".into(), ..good() };
    let found = review(&maybe);
    let found = found.iter().find(|remark| remark.rule == "utility-promotes").unwrap();
    assert_eq!(found.severity, Severity::Warning, "a person decides");
}

#[test]
fn every_variable_may_stand_more_than_once_and_positional_ones_in_any_order() {
    let mut draft = good();
    draft.parameter_format = crate::ParameterFormat::Positional;
    draft.header = None;
    draft.body = "Dear {{2}}, your pack of {{1}} is here. Once more, {{2}}: it is here.".into();
    draft.samples = [("1", "today"), ("2", "Asha")]
        .map(|(name, sample)| (name.to_owned(), sample.to_owned()))
        .into();
    assert_eq!(review(&draft), []);
}

#[test]
fn drafts_are_held_against_one_another() {
    let hindi = Draft {
        language: "hi".into(),
        body: "नमस्ते {{first_name}} जी, {{headline}} आज की खबर है।".into(),
        ..good()
    };
    let found = |drafts: &[Draft]| {
        together(drafts).into_iter().map(|(at, remark)| (at, remark.rule)).collect::<Vec<_>>()
    };
    assert_eq!(found(&[good(), hindi.clone()]), []);
    assert_eq!(found(&[good(), good()]), [(1, "same-name")]);
    let copy = Draft { name: "daily_pack_v3".into(), ..good() };
    assert_eq!(found(&[good(), copy]), [(1, "same-text")]);
    let other = Draft { category: DraftCategory::Marketing, ..hindi.clone() };
    assert_eq!(found(&[good(), other]), [(1, "translations-differ")]);
    let fewer = Draft { buttons: vec![], ..hindi };
    assert_eq!(found(&[good(), fewer]), [(1, "translations-differ")]);
}

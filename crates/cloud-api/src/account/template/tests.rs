//! Goal: a translation that would refuse our calls is told from one that takes them. Method: what
//! Graph lists for a template, changed in one part at a time.

use serde_json::{Value, json};

use super::*;

fn ours() -> TemplateDefinition {
    serde_json::from_value(json!({
        "name": "daily_pack", "languages": ["hi"], "header": "image",
        "body_parameters": ["first_name", "headline"], "buttons": ["url", "quick_reply"],
    }))
    .unwrap()
}

fn at_meta() -> Value {
    json!({"name": "daily_pack_v2", "language": "hi", "status": "APPROVED", "category": "UTILITY",
        "parameter_format": "NAMED", "id": "594425479261596", "components": [
            {"type": "HEADER", "format": "IMAGE", "example": {"header_handle": ["4:x"]}},
            {"type": "BODY", "text": "{{headline}} for {{first_name}}: {{headline}}"},
            {"type": "FOOTER", "text": "STOP ends it"},
            {"type": "BUTTONS", "buttons": [
                {"type": "URL", "text": "Open", "url": "https://x.in/{{1}}"},
                {"type": "QUICK_REPLY", "text": "Help"},
                {"type": "PHONE_NUMBER", "text": "Call", "phone_number": "+912226598100"}]}]})
}

fn misfits(listed: Value) -> String {
    let info: TemplateInfo = serde_json::from_value(listed).unwrap();
    info.misfits(&ours()).join("; ")
}

#[test]
fn another_text_with_the_same_variables_takes_our_calls() {
    assert_eq!(misfits(at_meta()), "");
}

#[test]
fn each_part_that_would_refuse_our_calls_is_named() {
    let cases: &[(&str, Value, &str)] = &[
        ("/components/1/text", json!("{{headline}} {{name}}"), "body variables: headline, name at"),
        ("/components/1/text", json!("hello"), "body variables: none at Meta"),
        ("/components/0/format", json!("VIDEO"), "header: video at Meta, image in"),
        ("/parameter_format", json!("POSITIONAL"), "parameters: POSITIONAL at Meta, NAMED in"),
        ("/components/3/buttons/0/url", json!("https://x.in"), "button 0: URL at Meta, Url in"),
        ("/components/3/buttons/2/type", json!("COPY_CODE"), "button 2: COPY_CODE at Meta, none"),
        ("/components/3/buttons", json!([]), "button 1: none at Meta, QuickReply in"),
        ("/components", json!([]), "Meta does not say"),
    ];
    for (place, value, want) in cases {
        let mut changed = at_meta();
        *changed.pointer_mut(place).unwrap() = value.clone();
        let found = misfits(changed);
        assert!(found.contains(want), "{place}: {found}");
    }
}

#[test]
fn positional_variables_are_counted_not_named() {
    let mut listed = at_meta();
    listed["parameter_format"] = json!("POSITIONAL");
    listed["components"][1]["text"] = json!("{{1}}, {{2}}");
    let info: TemplateInfo = serde_json::from_value(listed).unwrap();
    let positional = TemplateDefinition { parameter_format: ParameterFormat::Positional, ..ours() };
    assert_eq!(info.misfits(&positional), Vec::<String>::new());
    assert!(!info.misfits(&ours()).is_empty());
}

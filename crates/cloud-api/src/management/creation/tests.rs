//! Creation bodies and drafts, there and back.

use super::*;

/// As Meta's documentation shows them, in our own words.
fn bodies() -> Vec<Value> {
    vec![
        json!({"name": "order_update", "language": "en_US", "category": "UTILITY",
            "parameter_format": "NAMED", "message_send_ttl_seconds": 300, "components": [
            {"type": "HEADER", "format": "IMAGE", "example": {"header_handle": ["4::aW"]}},
            {"type": "BODY", "text": "Hi {{first_name}}, order {{order}} is out.", "example":
                {"body_text_named_params": [{"param_name": "first_name", "example": "Asha"},
                    {"param_name": "order", "example": "991"}]}},
            {"type": "FOOTER", "text": "Reply STOP to opt out"},
            {"type": "BUTTONS", "buttons": [
                {"type": "URL", "text": "Track", "url": "https://x.in/{{1}}",
                    "example": ["https://x.in/991"]},
                {"type": "QUICK_REPLY", "text": "Help"}]}]}),
        json!({"name": "sale", "language": "hi", "category": "MARKETING", "components": [
            {"type": "HEADER", "format": "TEXT", "text": "Our {{1}} is on!",
                "example": {"header_text": ["summer"]}},
            {"type": "BODY", "text": "Shop until {{1}} with {{2}} off.",
                "example": {"body_text": [["August", "25"]]}},
            {"type": "BUTTONS", "buttons": [{"type": "COPY_CODE", "example": "CARIBE25"},
                {"type": "PHONE_NUMBER", "text": "Call", "phone_number": "15550051310"},
                {"type": "FLOW", "text": "Book", "flow_id": "1", "navigate_screen": "A"}]}]}),
        json!({"name": "code", "language": "en", "category": "AUTHENTICATION",
            "message_send_ttl_seconds": 60, "components": [
            {"type": "BODY", "add_security_recommendation": true},
            {"type": "FOOTER", "code_expiration_minutes": 5},
            {"type": "BUTTONS", "buttons": [{"type": "OTP", "otp_type": "COPY_CODE",
                "text": "Copy Code"}]}]}),
        json!({"name": "offer", "language": "en", "category": "MARKETING", "components": [
            {"type": "HEADER", "format": "VIDEO", "example": {"header_handle": ["4::aW"]}},
            {"type": "LIMITED_TIME_OFFER",
                "limited_time_offer": {"text": "Soon over", "has_expiration": true}},
            {"type": "BODY", "text": "Good news of the day."}]}),
        json!({"name": "cards", "language": "en", "category": "MARKETING", "components": [
            {"type": "BODY", "text": "Rare succulents for {{1}} today.",
                "example": {"body_text": [["you"]]}},
            {"type": "CAROUSEL", "cards": [
                {"components": [{"type": "HEADER", "format": "PRODUCT"},
                    {"type": "BUTTONS", "buttons": [{"type": "SPM", "text": "View"}]}]},
                {"components": [{"type": "HEADER", "format": "PRODUCT"},
                    {"type": "BUTTONS", "buttons": [{"type": "SPM", "text": "View"}]}]}]}]}),
        json!({"name": "where", "language": "en", "category": "UTILITY", "components": [
            {"type": "HEADER", "format": "LOCATION"},
            {"type": "BODY", "text": "It is on its way."}]}),
    ]
}

#[test]
fn a_creation_body_is_the_same_after_it_was_read() {
    for body in bodies() {
        let draft = draft_of(&body).unwrap();
        assert_eq!(creation(&draft), body, "{draft:?}");
    }
}

#[test]
fn a_listed_template_in_small_letters_is_read_as_well() {
    let text = bodies()[4].to_string().replace("\"BODY\"", "\"body\"").replace("SPM", "spm");
    let text = text.replace("\"CAROUSEL\"", "\"carousel\"").replace("PRODUCT", "product");
    let draft = draft_of(&serde_json::from_str(&text).unwrap()).unwrap();
    assert_eq!(creation(&draft), bodies()[4]);
}

#[test]
fn what_a_draft_has_no_place_for_is_named() {
    let mut odd = bodies()[0].clone();
    odd["components"][3]["buttons"][0]["type"] = "HOLOGRAM".into();
    let said = draft_of(&odd).unwrap_err().to_string();
    assert_eq!(said, "components[3].buttons[0].type: \"hologram\" is not known");
    let mut twice = bodies()[0].clone();
    let body = twice["components"][1].clone();
    twice["components"].as_array_mut().unwrap().push(body);
    let said = draft_of(&twice).unwrap_err().to_string();
    assert_eq!(said, "components[4].type: \"body\" comes twice");
    assert!(draft_of(&json!({"category": "UTILITY"})).is_err());
    assert!(draft_of(&json!({"category": 7, "components": []})).is_err());
}

#[test]
fn a_file_and_metas_form_say_the_same() {
    let toml = r#"
        category = "utility"
        name = "daily_pack_v2"
        language = "en"
        body = "Good morning {{first_name}}, {{headline}} is the news."
        [samples]
        first_name = "Asha"
        headline = "NIFTY up"
    "#;
    let draft: Draft = toml::from_str(toml).unwrap();
    let body = creation(&draft);
    assert_eq!(body["parameter_format"], "NAMED");
    assert_eq!(draft_of(&body).unwrap(), draft);
}

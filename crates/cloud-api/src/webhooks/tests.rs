//! Goal: every body is read or named, and nothing in it can stop the rest.

use serde_json::json;

use super::*;

fn body(field: &str, value: Value) -> Vec<u8> {
    let change = json!({"field": field, "value": value, "novelty": {"x": 1}});
    json!({"object": "whatsapp_business_account", "entry": [{"id": "1", "changes": [change]}]})
        .to_string()
        .into_bytes()
}

fn described(body: &[u8]) -> String {
    let events = read(body).unwrap();
    events.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

fn messages(value: Value) -> Vec<u8> {
    let mut value = value;
    value["metadata"] = json!({"display_phone_number": "15550783881", "phone_number_id": "1065"});
    body("messages", value)
}

/// Name, body, and how it is described.
type Case = (&'static str, Vec<u8>, &'static str);

fn statuses_and_messages() -> Vec<Case> {
    vec![
        (
            "delivered with our callback",
            messages(json!({"statuses": [{"id": "wamid.X", "status": "delivered",
                "timestamp": "1763600102", "recipient_id": "9198", "biz_opaque_callback_data": "1.a",
                "pricing": {"billable": true, "pricing_model": "PMP", "type": "regular", "category": "utility"}}]})),
            "status delivered pricing PMP/regular/utility billable=True biz_opaque echoed",
        ),
        (
            "failed",
            messages(
                json!({"statuses": [{"id": "w", "status": "failed", "timestamp": "1763600105",
                "errors": [{"code": 131_049, "title": "…"}]}]}),
            ),
            "status failed error 131049",
        ),
        (
            "failed without errors",
            messages(json!({"statuses": [{"status": "failed"}]})),
            "status failed",
        ),
        (
            "a status of the future",
            messages(json!({"statuses": [{"status": "savoured"}]})),
            "status savoured",
        ),
        (
            "a BSUID user writes",
            messages(
                json!({"messages": [{"from_user_id": "IN.1", "id": "w", "type": "text", "text": {"body": "Hi"}}]}),
            ),
            "inbound text (from user id)",
        ),
        (
            "reply button",
            messages(
                json!({"messages": [{"from": "91", "type": "interactive", "context": {"id": "w"},
                "interactive": {"type": "button_reply"}}]}),
            ),
            "inbound interactive:button_reply (from phone) reply-context",
        ),
        (
            "type left out",
            messages(json!({"messages": [{"from": "91", "location": {"latitude": 1}}]})),
            "inbound [type missing; infer location] (from phone)",
        ),
    ]
}

fn news_and_odd_bodies() -> Vec<Case> {
    vec![
        (
            "error about the number",
            messages(json!({"errors": [{"code": 130_429}]})),
            "value-level error 130429",
        ),
        (
            "template paused",
            body(
                "message_template_status_update",
                json!({"event": "PAUSED", "reason": null,
                "message_template_id": 59, "message_template_name": "daily_pack",
                "message_template_language": "hi"}),
            ),
            "message_template_status_update: PAUSED",
        ),
        (
            "a field of the future",
            body("telepathy", json!({"event": "thought"})),
            "telepathy: thought",
        ),
        (
            "wrong types everywhere",
            messages(json!({"statuses": "no", "messages": {"a": 1}})),
            "messages: ; a part cannot be read: messages is no list; a part cannot be read: statuses is no list",
        ),
        ("nothing", br#"{"object":"x","entry":[]}"#.to_vec(), ""),
        (
            "entry of another type",
            br#"{"entry":{"changes":[]}}"#.to_vec(),
            "a part cannot be read: entry is no list",
        ),
        ("no entry", b"{}".to_vec(), "a part cannot be read: the body has no list of entries"),
    ]
}

#[test]
fn each_situation_is_described_in_words() {
    for (name, body, want) in [statuses_and_messages(), news_and_odd_bodies()].into_iter().flatten()
    {
        assert_eq!(described(&body), want, "{name}");
    }
}

#[test]
fn event_times_are_seconds_in_any_clothes() {
    let at = |timestamp: Value| {
        let body = messages(json!({"statuses": [{"status": "sent", "timestamp": timestamp}]}));
        match &read(&body).unwrap()[0] {
            Event::Status(report) => report.at,
            other => panic!("{other:?}"),
        }
    };
    let want = Some(Timestamp::from_secs(1_763_600_100));
    assert_eq!(at(json!("1763600100")), want);
    assert_eq!(at(json!(1_763_600_100)), want);
    assert_eq!(at(json!("1763600100000")), want, "milliseconds");
    assert_eq!(at(json!(1_763_600_100_000_000_i64)), want, "microseconds");
    for odd in [json!("TIMESTAMP"), json!(null), json!(-1), json!({}), json!(1e30)] {
        assert_eq!(at(odd.clone()), None, "{odd}");
    }
}

#[test]
fn what_is_no_object_is_unreadable_and_its_text_stays_out_of_the_error() {
    for bad in [&b""[..], b"[]", b"\"9876543210\"", b"{\"entry\": 9876543210", b"\xff\xfe"] {
        let error = read(bad).unwrap_err().to_string();
        assert!(!error.contains("98765"), "{error}");
    }
}

#[test]
fn deep_and_wide_bodies_are_bounded() {
    let deep = "[".repeat(100_000);
    assert!(read(format!("{{\"entry\":{deep}").as_bytes()).is_err());
    let statuses: Vec<Value> = (0..1_000).map(|_| json!({"status": "sent", "id": "w"})).collect();
    assert_eq!(read(&messages(json!({"statuses": statuses}))).unwrap().len(), 1_000);
}

#[test]
fn one_odd_sign_loses_nothing_and_one_odd_entry_only_itself() {
    let status = r#"{"id":"w","status":"delivered","timestamp":"1795750000"}"#;
    let entry =
        |value: &str| format!(r#"{{"id":"1","changes":[{{"field":"messages","value":{value}}}]}}"#);
    let good = entry(&format!(r#"{{"statuses":[{status}]}}"#));
    let body = |entries: &[&str]| {
        let entries = entries.join(",");
        format!(r#"{{"object":"whatsapp_business_account","entry":[{entries}]}}"#)
    };
    for odd in [
        format!(r#"{{"contacts":[{{"profile":{{"name":"Asha \ud83d"}}}}],"statuses":[{status}]}}"#),
        format!("{{\"contacts\":[\"a\u{1}b\nc\"],\"statuses\":[{status}]}}"),
        format!(r#"{{"x":1e999,"statuses":[{status}]}}"#),
    ] {
        assert_eq!(described(body(&[&entry(&odd)]).as_bytes()), "status delivered", "{odd}");
    }
    let mut bytes = b"\xef\xbb\xbf".to_vec();
    bytes.extend(body(&[&good]).bytes());
    assert_eq!(described(&bytes), "status delivered", "a byte order mark");
    let deep = entry(&format!("{}{}", "[".repeat(200), "]".repeat(200)));
    let said = described(body(&[&good, &deep, &good]).as_bytes());
    assert!(said.starts_with("status delivered; "), "{said}");
    assert_eq!(said.matches("status delivered").count(), 2, "{said}");
    assert!(said.contains("; a part cannot be read"), "{said}");
    // The same inside one change: a STOP is not lost beside it.
    let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
    let stop = r#"{"from":919876500001,"id":"m","type":"text","text":{"body":"STOP"}}"#;
    let value = format!(
        r#"{{"messages":[{stop},{{"q":{deep}}},5],"statuses":[{status}],"statuses":[{status}]}}"#
    );
    let said = described(body(&[&entry(&value)]).as_bytes());
    assert!(
        said.starts_with("inbound text (from phone); status delivered; status delivered; "),
        "{said}"
    );
    assert_eq!(said.matches("a part cannot be read").count(), 2, "{said}");
}

#[test]
fn nothing_true_is_taken_for_something_else() {
    let of = |value: Value| described(&messages(value));
    let status = json!({"statuses": [{"status": "delivered", "type": "message"}]});
    assert_eq!(of(status), "status delivered", "type message is a status");
    let failed = json!({"statuses": [{"status": "failed", "errors": [{"title": "x"}]}]});
    assert_eq!(of(failed), "status failed error without a code");
    let text =
        json!({"statuses": [{"status": "failed", "errors": [{"code": "131049", "title": null}]}]});
    assert_eq!(of(text), "status failed error 131049");
    let flows = body(
        "flows",
        json!({"event": "ENDPOINT_ERROR_RATE", "errors": [{"error_type": "TIMEOUT"}]}),
    );
    assert_eq!(described(&flows), "flows: ENDPOINT_ERROR_RATE");
}

#[test]
fn news_tell_which_thing_why_from_what_to_what_and_until_when() {
    let details = |field: &str, value: Value| match &read(&body(field, value)).unwrap()[0] {
        Event::Template(news) | Event::Account(news) => news.details(),
        other => panic!("{other:?}"),
    };
    let said = details(
        "message_template_status_update",
        json!({"event": "REJECTED", "message_template_name": "daily_pack", "message_template_language": "hi",
            "reason": "INVALID_FORMAT", "disable_info": {"disable_date": "2026-12-01"}}),
    );
    for want in ["template daily_pack (hi)", "because INVALID_FORMAT", "until 2026-12-01"] {
        assert!(said.contains(want), "{said}");
    }
    let said = details(
        "message_template_quality_update",
        json!({"previous_quality_score": "GREEN", "new_quality_score": "YELLOW",
            "message_template_name": "daily_pack", "message_template_language": "en"}),
    );
    assert!(said.contains("GREEN → YELLOW"), "{said}");
    let said = details(
        "phone_number_quality_update",
        json!({"display_phone_number": "15550783881", "event": "FLAGGED", "current_limit": "TIER_10K", "old_limit": "TIER_100K"}),
    );
    assert!(said.contains("TIER_100K → TIER_10K"), "{said}");
}

#[test]
fn a_body_that_holds_words_is_never_passed_over() {
    let of = |text: &str| may_hold_words(text.as_bytes());
    let status = r#"{"field":"messages","value":{"statuses":[{"id":"w"}]}}"#;
    assert!(!of(status), "nearly all that comes in");
    for words in [
        r#"{"field":"messages","value":{"messages":[]}}"#,
        "{\"field\":\"messages\",\"value\":{\"messages\" \n\t : []}}",
        r#"{"field":"user_preferences","value":{"user_preferences":[]}}"#,
        r#"{"value":{"\u006dessages":[]}}"#,
        r#"{"value":{"user\u005fpreferences":[]}}"#,
        r#"{"messages"  :[], "x":"messages"}"#,
    ] {
        assert!(of(words), "{words}");
    }
    assert!(!of("") && !of(r#""messages""#));
}

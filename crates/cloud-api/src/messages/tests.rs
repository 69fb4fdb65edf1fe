//! Goal: bodies are what Meta documents, component by component, and hold against its
//! OpenAPI description where that is right.

use domain::outbound::MediaKind;
use domain::{Phone, UserId};
use serde_json::{Value, json};

use super::*;

fn phone() -> Address {
    Address::Phone(Phone::try_new("+919876543210").unwrap())
}

fn call() -> TemplateCall {
    TemplateCall {
        name: "daily_pack".into(),
        language: "en".into(),
        header: None,
        body: vec![],
        buttons: vec![],
    }
}

fn built(to: &Address, call: &TemplateCall) -> Value {
    serde_json::to_value(template_message(to, call, "1.a.b")).unwrap()
}

fn media(kind: MediaKind, media: Media) -> Option<Header> {
    Some(Header::Media { kind, media, filename: Some("pack.pdf".into()) })
}

fn every_kind_of_call() -> Vec<(&'static str, TemplateCall, Value)> {
    let body = |params: Vec<Param>| TemplateCall { body: params, ..call() };
    let header = |header| TemplateCall { header, ..call() };
    let button = |button| TemplateCall { buttons: vec![button], ..call() };
    vec![
        ("no parameters", call(), Value::Null),
        (
            "positional body",
            body(vec![Param::positional("Asha"), Param::positional("06:00")]),
            json!([{"type":"body","parameters":[{"type":"text","text":"Asha"},{"type":"text","text":"06:00"}]}]),
        ),
        (
            "named body",
            body(vec![Param::named("first_name", "Asha")]),
            json!([{"type":"body","parameters":[{"type":"text","parameter_name":"first_name","text":"Asha"}]}]),
        ),
        (
            "text header",
            header(Some(Header::Text(Param::positional("Monday")))),
            json!([{"type":"header","parameters":[{"type":"text","text":"Monday"}]}]),
        ),
        (
            "image header by id",
            header(media(MediaKind::Image, Media::Id("1037".into()))),
            json!([{"type":"header","parameters":[{"type":"image","image":{"id":"1037"}}]}]),
        ),
        (
            "video header by link",
            header(media(MediaKind::Video, Media::Link("https://x.in/a.mp4".into()))),
            json!([{"type":"header","parameters":[{"type":"video","video":{"link":"https://x.in/a.mp4"}}]}]),
        ),
        (
            "document header keeps its file name",
            header(media(MediaKind::Document, Media::Id("7".into()))),
            json!([{"type":"header","parameters":[{"type":"document","document":{"id":"7","filename":"pack.pdf"}}]}]),
        ),
        (
            "quick reply",
            button(ButtonCall::QuickReply { index: 0, payload: "stop".into() }),
            json!([{"type":"button","sub_type":"quick_reply","index":0,"parameters":[{"type":"payload","payload":"stop"}]}]),
        ),
        (
            "url",
            button(ButtonCall::Url { index: 1, suffix: "packs/9".into() }),
            json!([{"type":"button","sub_type":"url","index":1,"parameters":[{"type":"text","text":"packs/9"}]}]),
        ),
        (
            "copy code",
            button(ButtonCall::CopyCode { index: 0, code: "FALL25".into() }),
            json!([{"type":"button","sub_type":"copy_code","index":0,"parameters":[{"type":"coupon_code","coupon_code":"FALL25"}]}]),
        ),
    ]
}

#[test]
fn each_component_is_built_as_documented() {
    for (name, call, components) in every_kind_of_call() {
        let body = built(&phone(), &call);
        assert_eq!(
            body["template"].get("components").cloned().unwrap_or_default(),
            components,
            "{name}"
        );
        assert_eq!(body["to"], "+919876543210", "{name}");
        assert_eq!(body["template"]["language"], json!({"code": "en"}), "{name}");
        assert_eq!(body["biz_opaque_callback_data"], "1.a.b", "{name}");
    }
}

#[test]
fn a_user_id_goes_out_only_where_there_is_no_phone() {
    let id = UserId::try_new("IN.1349").unwrap();
    let by_id = built(&Address::UserId(id.clone()), &call());
    assert_eq!((by_id.get("to"), &by_id["recipient"]), (None, &json!("IN.1349")));
    let both = built(&Address::Both(Phone::try_new("+919876543210").unwrap(), id), &call());
    assert_eq!((&both["to"], both.get("recipient")), (&json!("+919876543210"), None));
}

/// Meta's schema of the request, with what is wrong in it put right, each with its reason.
#[test]
fn bodies_hold_against_metas_own_schema() {
    let mut schema: Value =
        serde_json::from_str(include_str!("../../tests/openapi/messages.json")).unwrap();
    let defs = &mut schema["components"]["schemas"];
    // The pattern "^[2-6, 11-14]$" allows neither "0" nor "1", and Meta's own examples in
    // the same file send a number: index is a number from 0.
    defs["TemplateComponent"]["properties"]["index"] = json!({"type": "integer", "minimum": 0});
    // The list lacks copy_code, which Meta's guides document since 2023.
    defs["TemplateComponent"]["properties"]["sub_type"]["enum"] =
        json!(["quick_reply", "url", "catalog", "copy_code"]);
    // `policy` is obsolete: Meta's guides and other clients leave it out.
    defs["LanguageObject"]["required"] = json!(["code"]);
    // Since May 2026 `recipient` may stand instead of `to`.
    defs["BaseMessageProperties"]["required"] =
        json!(["messaging_product", "recipient_type", "type"]);
    schema["$ref"] = json!("#/components/schemas/TemplateMessage");
    let validator = jsonschema::validator_for(&schema).expect("Meta's schema compiles");
    let id = Address::UserId(UserId::try_new("IN.1349").unwrap());
    for to in [phone(), id] {
        for (name, call, _) in every_kind_of_call() {
            let body = built(&to, &call);
            let errors: Vec<String> = validator
                .iter_errors(&body)
                .map(|e| format!("{}: {e}", e.instance_path()))
                .collect();
            assert!(errors.is_empty(), "{name}: {errors:?}");
        }
    }
    assert!(!validator.is_valid(&json!({"messaging_product": "whatsapp"})), "the schema checks");
}

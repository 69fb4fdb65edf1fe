//! Goal: answers have Meta's shapes and hold against its own schema.
//! Method: a real server on loopback, asked by a plain client.

use std::sync::Arc;

use domain::SystemClock;
use secrecy::SecretString;
use serde_json::{Value, json};

use crate::{Options, Simulator};

async fn start() -> Simulator {
    let options =
        Options { latency: std::time::Duration::ZERO, ..Options::new(SecretString::from("s")) };
    Simulator::start(options, Arc::new(SystemClock)).await.unwrap()
}

fn client() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().build().unwrap()
}

async fn post(simulator: &Simulator, body: &Value) -> (u16, Value) {
    let url = format!("{}/v23.0/1065/messages", simulator.base_url());
    let answer = client().post(url).bearer_auth("t").json(body).send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

fn template(text: &str) -> Value {
    json!({"messaging_product": "whatsapp", "to": "+919876543210", "type": "template",
        "biz_opaque_callback_data": "theirs",
        "template": {"name": "t", "language": {"code": "en"}, "components": [
            {"type": "body", "parameters": [{"type": "text", "text": text}]}]}})
}

/// Meta's schema under one name.
fn schema(name: &str) -> jsonschema::Validator {
    let text = include_str!("../../../cloud-api/tests/openapi/messages.json");
    let mut schema: Value = serde_json::from_str(text).unwrap();
    schema["$ref"] = json!(format!("#/components/schemas/{name}"));
    jsonschema::validator_for(&schema).unwrap()
}

fn assert_holds(name: &str, answer: &Value) {
    let validator = schema(name);
    let errors: Vec<String> = validator.iter_errors(answer).map(|e| e.to_string()).collect();
    assert!(errors.is_empty(), "{name}: {errors:?} in {answer}");
}

#[tokio::test]
async fn every_answer_holds_against_metas_schema() {
    let simulator = start().await;
    let (status, answer) = post(&simulator, &template("Asha")).await;
    assert_eq!((status, &answer["messages"][0]["message_status"]), (200, &json!("accepted")));
    assert_holds("MessageResponsePayload", &answer);

    let cases = [
        (json!({}), 100),
        (json!({"messaging_product": "whatsapp"}), 131_008),
        (json!({"messaging_product": "whatsapp", "to": "+91", "type": "telepathy"}), 131_009),
        (template("a\nb"), 132_018),
    ];
    for (body, code) in cases {
        let (status, answer) = post(&simulator, &body).await;
        assert_eq!((status, &answer["error"]["code"]), (400, &json!(code)));
        assert_holds("GraphAPIError", &answer);
    }

    let base = simulator.base_url();
    let get = async |path: &str| -> Value {
        let request = client().get(format!("{base}/v23.0/{path}")).bearer_auth("t");
        request.send().await.unwrap().json().await.unwrap()
    };
    assert_holds("PhoneNumberInfo", &get("1065").await);
    assert_holds("Templates", &get("1022/message_templates").await);
    let form = reqwest::multipart::Form::new()
        .text("messaging_product", "whatsapp")
        .part("file", reqwest::multipart::Part::bytes(vec![1, 2, 3]));
    let request = client().post(format!("{base}/v23.0/1065/media")).bearer_auth("t");
    let uploaded: Value = request.multipart(form).send().await.unwrap().json().await.unwrap();
    assert_holds("MediaUploaded", &uploaded);
    let id = uploaded["id"].as_str().unwrap();
    let described = get(id).await;
    assert_eq!(described["id"], json!(id));
    let bytes = client().get(described["url"].as_str().unwrap()).bearer_auth("t").send().await;
    assert_eq!(bytes.unwrap().bytes().await.unwrap().as_ref(), [1, 2, 3], "the file comes back");
    assert_eq!(get(&format!("{id}?phone_number_id=1065")).await["id"], json!(id));
    assert_eq!(get(&format!("{id}?phone_number_id=9")).await["error"]["error_subcode"], json!(33));
}

/// What is wrong, a request, and the code that Meta answers with.
type Refused = (&'static str, Value, i32);

fn of(kind: &str, inner: Value) -> Value {
    json!({"messaging_product": "whatsapp", "to": "+919876543210", "type": kind, kind: inner})
}

fn bad_interactive() -> Vec<Refused> {
    let interactive = |inner: Value| of("interactive", inner);
    let button = |title: &str| json!({"type": "reply", "reply": {"id": "a", "title": title}});
    let rows: Vec<Value> = (0..11).map(|n| json!({"id": n.to_string(), "title": "x"})).collect();
    let body = json!({"text": "x"});
    vec![
        ("interactive unknown type", interactive(json!({"type": "telepathy"})), 131_009),
        (
            "button title of 21",
            interactive(
                json!({"type": "button", "body": body, "action": {"buttons": [button(&"x".repeat(21))]}}),
            ),
            100,
        ),
        (
            "list with 11 rows",
            interactive(
                json!({"type": "list", "body": body, "action": {"button": "x", "sections": [{"rows": rows}]}}),
            ),
            131_009,
        ),
        (
            "flow without flow_id",
            interactive(json!({"type": "flow", "body": body, "action": {"parameters": {}}})),
            131_008,
        ),
    ]
}

fn bad_messages() -> Vec<Refused> {
    let mut untyped = template("Asha");
    untyped["template"]["components"][0]["parameters"][0] = json!({"text": "Asha"});
    let mut twice = template("Asha");
    let index = json!({"type": "button", "sub_type": "url", "index": 0, "parameters": [{"type": "text", "text": "x"}]});
    twice["template"]["components"] = json!([index, index]);
    let mut letters = of("text", json!({"text": "x"}));
    letters["to"] = json!("asha");
    let mut callback = of("text", json!({"body": "x"}));
    callback["biz_opaque_callback_data"] = json!(7);
    vec![
        ("text body empty", of("text", json!({"body": ""})), 131_008),
        ("text body missing", of("text", json!({})), 131_008),
        ("image without id or link", of("image", json!({})), 131_008),
        ("image unknown id", of("image", json!({"id": "1037"})), 131_009),
        (
            "caption of 1025",
            of("image", json!({"link": "https://x.in/a.jpg", "caption": "x".repeat(1_025)})),
            100,
        ),
        ("location without longitude", of("location", json!({"latitude": 1})), 131_008),
        ("reaction without message_id", of("reaction", json!({"emoji": "x"})), 131_008),
        ("contacts without name", of("contacts", json!([{"phones": []}])), 131_008),
        ("parameter without type", untyped, 131_008),
        ("button index twice", twice, 132_012),
        ("to: letters", letters, 131_009),
        (
            "no BSUID",
            json!({"messaging_product": "whatsapp", "recipient": "asha", "type": "text", "text": {"body": "x"}}),
            131_009,
        ),
        ("callback data as number", callback, 100),
        (
            "read of an unknown wamid",
            json!({"messaging_product": "whatsapp", "status": "read", "message_id": "wamid.X"}),
            131_009,
        ),
    ]
}

#[tokio::test]
async fn what_meta_refuses_is_refused_with_its_code() {
    let simulator = start().await;
    for (name, body, code) in bad_messages().into_iter().chain(bad_interactive()) {
        let (status, answer) = post(&simulator, &body).await;
        assert_eq!((status, &answer["error"]["code"]), (400, &json!(code)), "{name}: {answer}");
    }
    let url = format!("{}/banana/1065/messages", simulator.base_url());
    let answer = client().post(url).bearer_auth("t").json(&template("Asha")).send().await.unwrap();
    let answer: Value = answer.json().await.unwrap();
    assert_eq!(answer["error"]["code"], json!(2_500));
}

#[tokio::test]
async fn every_error_we_can_answer_with_holds_against_metas_schema() {
    for row in cloud_api::error_codes::CODES {
        let answer = crate::answers::error(500, row.code, "details", 7);
        let body = axum::body::to_bytes(answer.into_body(), 10_000).await.unwrap();
        assert_holds("GraphAPIError", &serde_json::from_slice(&body).unwrap());
    }
    let held =
        crate::answers::accepted("wamid.A", Some("+91"), Some("held_for_quality_assessment"));
    let body = axum::body::to_bytes(held.into_body(), 10_000).await.unwrap();
    assert_holds("MessageResponsePayload", &serde_json::from_slice(&body).unwrap());
}

#[tokio::test]
async fn a_caller_without_a_token_is_refused_and_not_counted() {
    let simulator = start().await;
    let url = format!("{}/v23.0/1065/messages", simulator.base_url());
    let answer = client().post(url).json(&template("Asha")).send().await.unwrap();
    assert_eq!(answer.status().as_u16(), 401);
    assert_eq!(simulator.oracle.tally().requests, 0);
}

#[tokio::test]
async fn the_oracle_sees_a_message_sent_twice() {
    let simulator = start().await;
    post(&simulator, &template("Asha")).await;
    post(&simulator, &template("Asha")).await;
    let tally = simulator.oracle.tally();
    assert_eq!((tally.accepted, tally.distinct_deliveries, tally.duplicates), (2, 1, 1));
}

#[tokio::test]
async fn it_serves_and_calls_this_machine_only() {
    for webhook in ["https://example.com/hook", "http://10.0.0.1/hook"] {
        let mut options = Options::new(SecretString::from("s"));
        options.webhook = Some(webhook.parse().unwrap());
        let refused = Simulator::start(options, Arc::new(SystemClock)).await;
        assert!(refused.is_err(), "{webhook}");
    }
}

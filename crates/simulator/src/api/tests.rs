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
    assert_eq!(get(id).await["id"], json!(id));
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

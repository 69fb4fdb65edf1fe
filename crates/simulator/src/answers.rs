//! Graph's answers: successes and error bodies, as the reference shows them.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use cloud_api::error_codes;
use serde_json::{Value, json};

/// An error as Graph words it. `trace` is unique per answer.
pub fn error(status: u16, code: i32, details: &str, trace: u64) -> Response {
    let meaning = error_codes::meaning(code);
    let body = json!({"error": {
        "message": format!("(#{code}) {meaning}"),
        "type": "OAuthException",
        "code": code,
        "error_data": {"messaging_product": "whatsapp", "details": details},
        "fbtrace_id": format!("A{trace:015x}"),
    }});
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    (status, Json(body)).into_response()
}

/// An object that is not there, or not for this caller.
pub fn unknown_object(trace: u64) -> Response {
    let body = json!({"error": {
        "message": "Unsupported get request. Object does not exist, cannot be loaded due to missing permissions, or does not support this operation",
        "type": "GraphMethodException",
        "code": 100,
        "error_subcode": 33,
        "fbtrace_id": format!("A{trace:015x}"),
    }});
    (StatusCode::BAD_REQUEST, Json(body)).into_response()
}

/// A message that was taken. `to` is the recipient as given; free-form messages carry no
/// `message_status`.
pub fn accepted(wamid: &str, to: Option<&str>, status: Option<&str>) -> Response {
    let mut message = json!({"id": wamid});
    if let Some(status) = status {
        message["message_status"] = json!(status);
    }
    let contacts: Vec<Value> = to
        .map(|to| json!({"input": to, "wa_id": to.trim_start_matches('+')}))
        .into_iter()
        .collect();
    Json(json!({"messaging_product": "whatsapp", "contacts": contacts, "messages": [message]}))
        .into_response()
}

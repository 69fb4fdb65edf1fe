//! The public side: Meta's webhooks.
//!
//! Order: size limit → HMAC over the raw bytes → inbox, synced → 200. Content is read
//! later, so nothing in a body can make us answer anything but 200; only a wrong signature
//! (401), a body above Meta's own limit (413) and a full or broken disk (503) differ.
//! Source: Meta, "Webhooks": verification, signature, retries for up to 7 days.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::to_bytes;
use axum::extract::{Query, Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use cloud_api::signature;
use domain::Clock;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use telemetry::Metrics;

use crate::inbox::Inbox;

/// Meta's largest webhook body.
const BODY_BYTES_MAX: usize = 3 * 1024 * 1024;
/// Longest time for a body: Meta's own arrive within a second.
const BODY_TIME_MAX: Duration = Duration::from_secs(10);
/// Where Meta is told to send.
pub const PATH: &str = "/webhooks";

pub struct Receiver {
    pub inbox: Inbox,
    pub clock: Arc<dyn Clock>,
    pub metrics: Arc<Metrics>,
    /// Several while one is rotated. Empty: everything is refused.
    pub app_secrets: Vec<SecretString>,
    pub verify_token: SecretString,
}

#[derive(Deserialize)]
struct Verification {
    #[serde(rename = "hub.mode", default)]
    mode: String,
    #[serde(rename = "hub.verify_token", default)]
    token: String,
    #[serde(rename = "hub.challenge", default)]
    challenge: String,
}

/// The routes, to be served or nested.
pub fn router(receiver: Receiver) -> Router {
    Router::new().route(PATH, get(verify).post(receive)).with_state(Arc::new(receiver))
}

async fn verify(
    State(receiver): State<Arc<Receiver>>,
    Query(asked): Query<Verification>,
) -> Response {
    let known = signature::same(&asked.token, receiver.verify_token.expose_secret());
    if asked.mode != "subscribe" || !known {
        return (StatusCode::FORBIDDEN, "verify token does not match\n").into_response();
    }
    // Meta sends digits; echoing anything else would lend our name to someone's script.
    if asked.challenge.is_empty() || !asked.challenge.bytes().all(|b| b.is_ascii_alphanumeric()) {
        return (StatusCode::BAD_REQUEST, "challenge is not a plain word\n").into_response();
    }
    asked.challenge.into_response()
}

async fn receive(State(receiver): State<Arc<Receiver>>, request: Request) -> StatusCode {
    let received_at = receiver.clock.now();
    let (parts, body) = request.into_parts();
    let count = |result: &str| receiver.metrics.webhooks.with_label_values(&[result]).inc();
    let body = match tokio::time::timeout(BODY_TIME_MAX, to_bytes(body, BODY_BYTES_MAX)).await {
        Ok(Ok(body)) => body,
        Ok(Err(_)) => {
            count("too_large");
            return StatusCode::PAYLOAD_TOO_LARGE;
        }
        Err(_) => {
            count("too_slow");
            return StatusCode::REQUEST_TIMEOUT;
        }
    };
    let header = parts.headers.get(signature::HEADER).and_then(|value| value.to_str().ok());
    if let Err(error) = signature::verify(&receiver.app_secrets, &body, header) {
        count("bad_signature");
        tracing::warn!(bytes = body.len(), "webhook refused: {error}");
        return StatusCode::UNAUTHORIZED;
    }
    match receiver.inbox.append(received_at, body).await {
        Ok(()) => {
            count("stored");
            StatusCode::OK
        }
        Err(error) => {
            count("inbox_failed");
            tracing::error!(error = %error, "webhook not stored, Meta will repeat it: {error}");
            StatusCode::SERVICE_UNAVAILABLE
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inbox::{Source, Tail};
    use axum::body::Body;
    use axum::http;
    use domain::SystemClock;
    use tower::ServiceExt;

    fn receiver(dir: &std::path::Path) -> Router {
        router(Receiver {
            inbox: Inbox::open(dir, u64::MAX).unwrap(),
            clock: Arc::new(SystemClock),
            metrics: Arc::default(),
            app_secrets: vec![SecretString::from("app")],
            verify_token: SecretString::from("verify"),
        })
    }

    async fn post(app: &Router, body: Vec<u8>, signature: Option<String>) -> StatusCode {
        let mut request = http::Request::post(PATH);
        if let Some(signature) = signature {
            request = request.header(signature::HEADER, signature);
        }
        app.clone().oneshot(request.body(Body::from(body)).unwrap()).await.unwrap().status()
    }

    #[tokio::test]
    async fn only_signed_bodies_are_stored_and_all_of_them_get_200() {
        let dir = tempfile::tempdir().unwrap();
        let app = receiver(dir.path());
        let secret = SecretString::from("app");
        let odd = b"not json at all \xff".to_vec();
        let signed = signature::sign(&secret, &odd);
        assert_eq!(post(&app, odd.clone(), Some(signed)).await, StatusCode::OK);
        let forged = signature::sign(&SecretString::from("other"), &odd);
        assert_eq!(post(&app, odd.clone(), Some(forged)).await, StatusCode::UNAUTHORIZED);
        assert_eq!(post(&app, odd.clone(), None).await, StatusCode::UNAUTHORIZED);
        let huge = vec![b' '; BODY_BYTES_MAX + 1];
        let signed = signature::sign(&secret, &huge);
        assert_eq!(post(&app, huge, Some(signed)).await, StatusCode::PAYLOAD_TOO_LARGE);
        let records = Tail::from_start(dir.path()).next_batch().unwrap();
        assert_eq!(records.len(), 1, "the accepted body and no other");
        assert_eq!(records[0].body, odd);
    }

    #[tokio::test]
    async fn the_verification_echoes_the_challenge_only_for_our_token() {
        let dir = tempfile::tempdir().unwrap();
        let app = receiver(dir.path());
        let ask = async |query: &str| {
            let request = http::Request::get(format!("{PATH}?{query}")).body(Body::empty());
            let answer = app.clone().oneshot(request.unwrap()).await.unwrap();
            let status = answer.status();
            (status, to_bytes(answer.into_body(), 1_000).await.unwrap())
        };
        let ok = "hub.mode=subscribe&hub.challenge=1158201444&hub.verify_token=verify";
        assert_eq!(ask(ok).await, (StatusCode::OK, "1158201444".into()));
        assert_eq!(ask(&ok.replace("=verify", "=guess")).await.0, StatusCode::FORBIDDEN);
        assert_eq!(ask("").await.0, StatusCode::FORBIDDEN);
        assert_eq!(ask(&ok.replace("1158201444", "%3Cscript%3E")).await.0, StatusCode::BAD_REQUEST);
    }
}

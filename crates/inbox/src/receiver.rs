//! The public side: Meta's webhooks.
//!
//! Order: form of the signature, length and room, before a byte of the body is read; size
//! limit → HMAC over the raw bytes → inbox, synced → 200. Content is read
//! later, so nothing in a body can make us answer anything but 200; only a wrong signature
//! (401), a body above Meta's own limit (413) and no room, or a full or broken disk (503) differ.
//! Source: Meta, "Webhooks": verification, signature, retries for up to 7 days.

use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::to_bytes;
use axum::extract::{Query, Request, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_LENGTH;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use domain::Clock;
use secrecy::ExposeSecret;
use serde::Deserialize;
use telemetry::Metrics;
use telemetry::labels::WebhookResult;
use tokio::sync::Semaphore;

use crate::endpoint::Endpoint;
use crate::record::Record;
use crate::segments::Inbox;

/// Meta's largest webhook body.
const BODY_BYTES_MAX: usize = 3 * 1024 * 1024;
/// Longest time for a body: Meta's own arrive within a second.
const BODY_TIME_MAX: Duration = Duration::from_secs(10);
/// How often refusals that go on are said again.
const SAY_EVERY: Duration = Duration::from_secs(10);
/// Where Meta is told to send, and the same under the name that an integration guide gives it.
pub const PATHS: [&str; 2] = ["/webhooks", "/webhook/meta"];

pub struct Receiver {
    pub inbox: Inbox,
    pub clock: Arc<dyn Clock>,
    pub metrics: Arc<Metrics>,
    /// Bytes of bodies that may be under way at once.
    pub room: Arc<Semaphore>,
    /// Whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpAddr>,
    pub refusals: Refusals,
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

/// A request's endpoint, and what all of them share.
#[derive(Clone)]
struct Here {
    receiver: Arc<Receiver>,
    endpoint: Arc<Endpoint>,
}

/// The routes, to be served or nested.
pub fn router(receiver: Receiver, endpoints: Vec<Endpoint>) -> Router {
    let receiver = Arc::new(receiver);
    let mut router = Router::new();
    for endpoint in endpoints.into_iter().map(Arc::new) {
        let here = Here { receiver: Arc::clone(&receiver), endpoint: Arc::clone(&endpoint) };
        for path in &endpoint.paths {
            router = router.route(path, get(verify).post(receive).with_state(here.clone()));
        }
    }
    router
}

async fn verify(
    State(Here { endpoint, .. }): State<Here>,
    Query(asked): Query<Verification>,
) -> Response {
    let known = endpoint.webhooks.is_same(&asked.token, endpoint.verify_token.expose_secret());
    if asked.mode != "subscribe" || !known {
        return (StatusCode::FORBIDDEN, "verify token does not match\n").into_response();
    }
    // Meta sends digits; echoing anything else would lend our name to someone's script.
    if asked.challenge.is_empty() || !asked.challenge.bytes().all(|b| b.is_ascii_alphanumeric()) {
        return (StatusCode::BAD_REQUEST, "challenge is not a plain word\n").into_response();
    }
    asked.challenge.into_response()
}

/// Where a request came from, put into its extensions by whoever serves the listener.
#[derive(Clone, Copy, Debug)]
pub struct Peer(pub IpAddr);

/// Refused requests are counted one by one and logged by the span: nobody may fill the disk.
#[derive(Default)]
pub struct Refusals(Mutex<Option<(Instant, u64)>>);

impl Refusals {
    fn note(&self, from: Option<IpAddr>, why: &dyn std::fmt::Display) {
        let mut held = self.0.lock().expect("no panic while held");
        let now = Instant::now();
        let count = match *held {
            Some((since, n)) if now.duration_since(since) < SAY_EVERY => {
                *held = Some((since, n + 1));
                return;
            }
            Some((_, n)) => n + 1,
            None => 1,
        };
        *held = Some((now, 0));
        drop(held);
        let from = from.map_or("an unknown address".to_owned(), |from| from.to_string());
        tracing::warn!(
            count,
            "webhook refused: {why}; from {from}; {count} since this was last said"
        );
    }
}

/// The forwarded address behind a proxy of ours, else the peer's own.
fn sender(parts: &Parts, trusted: &[IpAddr]) -> Option<IpAddr> {
    let Peer(peer) = parts.extensions.get::<Peer>()?;
    if !trusted.contains(peer) {
        return Some(*peer);
    }
    let forwarded = parts.headers.get("x-forwarded-for").and_then(|value| value.to_str().ok());
    let last = forwarded.and_then(|list| list.rsplit(',').next()?.trim().parse().ok());
    last.or(Some(*peer))
}

async fn receive(State(here): State<Here>, request: Request) -> StatusCode {
    let Here { receiver, endpoint } = here;
    let received_at = receiver.clock.now();
    let (parts, body) = request.into_parts();
    let count = |result| receiver.metrics.news.webhooks.of(result).inc();
    let refuse = |why: &dyn std::fmt::Display| {
        count(WebhookResult::BadSignature);
        receiver.refusals.note(sender(&parts, &receiver.trusted_proxies), why);
        StatusCode::UNAUTHORIZED
    };
    // Looked at before a byte of the body is read, and before memory is given to it.
    let name = endpoint.webhooks.signature_header();
    let header = parts.headers.get(name).and_then(|value| value.to_str().ok());
    if let Err(error) = endpoint.webhooks.is_signed(header) {
        return refuse(&error);
    }
    let length =
        parts.headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    let length: usize = length.unwrap_or(BODY_BYTES_MAX);
    if length > BODY_BYTES_MAX {
        count(WebhookResult::TooLarge);
        return StatusCode::PAYLOAD_TOO_LARGE;
    }
    let bytes = u32::try_from(length.max(1)).unwrap_or(u32::MAX);
    let Ok(_room) = receiver.room.try_acquire_many(bytes) else {
        count(WebhookResult::Busy);
        return StatusCode::SERVICE_UNAVAILABLE;
    };
    let body = match tokio::time::timeout(BODY_TIME_MAX, to_bytes(body, BODY_BYTES_MAX)).await {
        Ok(Ok(body)) => body,
        Ok(Err(_)) => {
            count(WebhookResult::TooLarge);
            return StatusCode::PAYLOAD_TOO_LARGE;
        }
        Err(_) => {
            count(WebhookResult::TooSlow);
            return StatusCode::REQUEST_TIMEOUT;
        }
    };
    if let Err(error) = endpoint.webhooks.verify(&endpoint.app_secrets, &body, header) {
        return refuse(&error);
    }
    let (name, tenant) = (endpoint.name.clone(), endpoint.tenant.clone());
    let record = Record { received_at, endpoint: name, tenant, body };
    match receiver.inbox.append(&record).await {
        Ok(()) => {
            count(WebhookResult::Stored);
            StatusCode::OK
        }
        Err(error) => {
            count(WebhookResult::InboxFailed);
            receiver.refusals.note(None, &format!("not stored, Meta will repeat it: {error}"));
            StatusCode::SERVICE_UNAVAILABLE
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tail::{Source, Tail};
    use axum::body::Body;
    use axum::http;
    use cloud_api::signature;
    use domain::SystemClock;
    use secrecy::SecretString;
    use tower::ServiceExt;

    fn endpoint(name: &str, secret: &str, paths: &[&str]) -> Endpoint {
        Endpoint {
            name: name.to_owned(),
            paths: paths.iter().map(|path| (*path).to_owned()).collect(),
            webhooks: Arc::new(cloud_api::MetaWebhooks),
            app_secrets: vec![SecretString::from(secret)],
            verify_token: SecretString::from(format!("verify-{name}")),
            tenant: domain::TenantId::default(),
        }
    }

    fn receiver(dir: &std::path::Path) -> Router {
        let receiver = Receiver {
            inbox: Inbox::open(dir, u64::MAX).unwrap(),
            clock: Arc::new(SystemClock),
            metrics: Arc::default(),
            room: Arc::new(Semaphore::new(16 * 1024 * 1024)),
            trusted_proxies: Vec::new(),
            refusals: Refusals::default(),
        };
        let partner = endpoint("partner", "theirs", &["/webhooks/partner"]);
        router(receiver, vec![endpoint("webhooks", "app", &PATHS), partner])
    }

    async fn post(app: &Router, body: Vec<u8>, signature: Option<String>) -> StatusCode {
        post_to(PATHS[0], app, body, signature).await
    }

    async fn post_to(
        path: &str,
        app: &Router,
        body: Vec<u8>,
        signature: Option<String>,
    ) -> StatusCode {
        let mut request = http::Request::post(path);
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

    /// The path selects the secret: whoever holds another endpoint's signs nothing here.
    #[tokio::test]
    async fn an_endpoint_believes_its_own_secret_only() {
        let dir = tempfile::tempdir().unwrap();
        let app = receiver(dir.path());
        let signed = |secret: &str| Some(signature::sign(&SecretString::from(secret), b"{}"));
        for (path, secret, want) in [
            ("/webhooks", "app", StatusCode::OK),
            ("/webhooks", "theirs", StatusCode::UNAUTHORIZED),
            ("/webhooks/partner", "theirs", StatusCode::OK),
            ("/webhooks/partner", "app", StatusCode::UNAUTHORIZED),
        ] {
            let got = post_to(path, &app, b"{}".to_vec(), signed(secret)).await;
            assert_eq!(got, want, "{path} by {secret}");
        }
        let records = Tail::from_start(dir.path()).next_batch().unwrap();
        let names: Vec<&str> = records.iter().map(|record| record.endpoint.as_str()).collect();
        assert_eq!(names, ["webhooks", "partner"]);
    }

    #[tokio::test]
    async fn the_verification_echoes_the_challenge_only_for_our_token() {
        let dir = tempfile::tempdir().unwrap();
        let app = receiver(dir.path());
        let ask = async |query: &str| {
            let request = http::Request::get(format!("{}?{query}", PATHS[0])).body(Body::empty());
            let answer = app.clone().oneshot(request.unwrap()).await.unwrap();
            let status = answer.status();
            (status, to_bytes(answer.into_body(), 1_000).await.unwrap())
        };
        let ok = "hub.mode=subscribe&hub.challenge=1158201444&hub.verify_token=verify-webhooks";
        assert_eq!(ask(ok).await, (StatusCode::OK, "1158201444".into()));
        assert_eq!(ask(&ok.replace("=verify-webhooks", "=guess")).await.0, StatusCode::FORBIDDEN);
        assert_eq!(ask("").await.0, StatusCode::FORBIDDEN);
        assert_eq!(ask(&ok.replace("1158201444", "%3Cscript%3E")).await.0, StatusCode::BAD_REQUEST);
    }

    #[tokio::test]
    async fn nothing_is_read_before_the_head_is_right() {
        let dir = tempfile::tempdir().unwrap();
        let app = receiver(dir.path());
        let ask = async |signature: Option<&str>, length: &str| {
            let mut request = http::Request::post(PATHS[0]).header("content-length", length);
            if let Some(signature) = signature {
                request = request.header(signature::HEADER, signature);
            }
            // A body that never comes: whoever waits for it hangs.
            let body = Body::from_stream(futures_never());
            app.clone().oneshot(request.body(body).unwrap()).await.unwrap().status()
        };
        let formed = format!("sha256={}", "0".repeat(64));
        assert_eq!(ask(None, "3").await, StatusCode::UNAUTHORIZED);
        assert_eq!(ask(Some("sha256=zz"), "3").await, StatusCode::UNAUTHORIZED);
        assert_eq!(ask(Some(&formed), "99999999").await, StatusCode::PAYLOAD_TOO_LARGE);
        // Five bodies of three MiB each take the room of the sixth.
        let waits: Vec<_> = (0..5).map(|_| ask(Some(&formed), "3145728")).collect();
        let mut waits: Vec<_> = waits.into_iter().map(Box::pin).collect();
        for wait in &mut waits {
            let not_yet = std::future::poll_fn(|context| {
                std::task::Poll::Ready(wait.as_mut().poll(context).is_pending())
            });
            assert!(not_yet.await);
        }
        assert_eq!(ask(Some(&formed), "3145728").await, StatusCode::SERVICE_UNAVAILABLE);
        drop(waits);
        let odd = b"{}".to_vec();
        let signed = signature::sign(&SecretString::from("app"), &odd);
        assert_eq!(post(&app, odd, Some(signed)).await, StatusCode::OK, "the room is free again");
    }

    fn futures_never() -> impl futures::Stream<Item = std::io::Result<bytes::Bytes>> {
        futures::stream::pending()
    }
}

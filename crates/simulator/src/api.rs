//! The endpoints: `/messages`, `/media`, numbers, templates; `/oracle` for the curious.

pub mod templates;
mod validate;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::{DefaultBodyLimit, Multipart, Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use bytes::Bytes;
use domain::NumberId;
use domain::hash::sha256_hex;
use futures::stream;
use rand::RngExt;
use rand::rngs::StdRng;
use serde_json::{Value, json};

use crate::answers::{accepted, error};
use crate::courier::{Courier, Taken};
use crate::faults::{RequestFate, around};
use crate::numbers::{Admission, Numbers};
use crate::options::Options;
use crate::oracle::Oracle;

pub struct Shared {
    pub options: Options,
    pub numbers: Numbers,
    pub oracle: Arc<Oracle>,
    pub courier: Arc<Courier>,
    pub rng: Mutex<StdRng>,
    /// Uploaded files by id.
    pub media: Mutex<HashMap<String, Uploaded>>,
    /// Templates that were handed in.
    pub templates: Mutex<Vec<templates::Created>>,
    /// Message ids that were given out.
    pub messages: Mutex<HashSet<String>>,
}

/// A file, and the number that it belongs to.
#[derive(Clone)]
pub struct Uploaded {
    number: NumberId,
    mime: String,
    bytes: Bytes,
}

pub fn router(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/oracle", get(oracle))
        .route("/oracle/deliveries", get(oracle_deliveries))
        .route("/media/{id}", get(download))
        .route("/{version}/debug_token", get(debug_token))
        .route("/{version}/{id}", get(read_object))
        .route("/{version}/{id}/messages", post(send))
        .route("/{version}/{id}/media", post(upload))
        .route("/{version}/{id}/message_templates", get(templates::list).post(templates::create))
        .route("/{version}/{id}/subscribed_apps", get(subscribed_apps))
        .route("/{version}/{id}/phone_numbers", get(phone_numbers))
        .layer(DefaultBodyLimit::max(110 * 1024 * 1024))
        .with_state(shared)
}

type Sim = State<Arc<Shared>>;

impl Shared {
    /// Whether a media id is this number's.
    fn has_media(&self, id: &str, number: &NumberId) -> bool {
        let media = self.media.lock().expect("no panic while held");
        let uploaded = media.get(id).is_some_and(|held| held.number == *number);
        uploaded || self.options.media.iter().any(|known| known == id)
    }

    fn knows_message(&self, id: &str) -> bool {
        self.messages.lock().expect("no panic while held").contains(id)
    }

    fn draw<T>(&self, f: impl FnOnce(&mut StdRng) -> T) -> T {
        f(&mut self.rng.lock().expect("no panic while held"))
    }

    fn error(&self, status: u16, code: i32, details: &str) -> Response {
        error(status, code, details, self.draw(|rng| rng.random::<u64>() >> 4))
    }

    /// A Graph error when there is no token, or another than the file names, if there is one.
    fn refuse_without_token(&self, headers: &HeaderMap) -> Option<Response> {
        let token = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        match token.and_then(|value| value.strip_prefix("Bearer ")) {
            Some(token) if !self.expects_another(token) && !token.trim().is_empty() => None,
            Some(token) if !token.trim().is_empty() => {
                Some(self.error(401, 190, "the session has been invalidated"))
            }
            _ => Some(self.error(401, 190, "no access token was sent")),
        }
    }

    fn expects_another(&self, token: &str) -> bool {
        let expected = self.options.token_file.as_ref().map(std::fs::read_to_string);
        expected.is_some_and(|text| text.map_or(true, |text| text.trim() != token.trim()))
    }

    /// A Graph error for a version that there is none of, or without a token.
    fn refuse(&self, version: &str, headers: &HeaderMap) -> Option<Response> {
        let digits = version.strip_prefix('v').and_then(|version| version.split_once('.'));
        let number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        if !digits.is_some_and(|(major, minor)| number(major) && number(minor)) {
            return Some(self.error(400, 2_500, "Unknown path components"));
        }
        self.refuse_without_token(headers)
    }

    /// Code 100 with subcode 33.
    fn unknown_object(&self) -> Response {
        let trace = self.draw(|rng| rng.random::<u64>() >> 4);
        crate::answers::unknown_object(trace)
    }

    /// Takes a message: counts it and sets its statuses on their way.
    fn take(&self, message: &Message, held: bool) -> String {
        let wamid = format!("wamid.{:032x}", self.draw(|rng| rng.random::<u128>()));
        let taken = Taken {
            number: message.number.clone(),
            wamid: wamid.clone(),
            to: message.to.clone(),
            callback: message.callback.clone(),
            held,
            template: message.template.clone(),
        };
        let arrives = self.courier.report(&taken);
        self.oracle.accepted(&taken, arrives);
        self.messages.lock().expect("no panic while held").insert(wamid.clone());
        wamid
    }
}

/// The parts of a send that decide its fate.
#[derive(Clone)]
struct Message {
    number: NumberId,
    to: String,
    callback: Option<String>,
    template: Option<String>,
}

async fn send(
    State(shared): Sim,
    Path((version, id)): Path<(String, String)>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    if let Some(refused) = shared.refuse(&version, &headers) {
        return refused;
    }
    let Ok(number) = NumberId::try_new(id) else {
        return shared.error(400, 33, "the phone number id has another form");
    };
    let Ok(body) = serde_json::from_slice::<Value>(&body) else {
        return shared.error(400, 100, "the body is not JSON");
    };
    if body["status"] == "read" {
        return match validate::read_receipt(&shared, &body) {
            Ok(()) => Json(json!({"success": true})).into_response(),
            Err((status, code, details)) => shared.error(status, code, &details),
        };
    }
    shared.oracle.asked();
    let latency = shared.draw(|rng| around(shared.options.latency, rng));
    tokio::time::sleep(latency).await;
    if let Err((status, code, details)) = validate::message(&shared, &number, &body) {
        return shared.error(status, code, &details);
    }
    let text = |key: &str| body[key].as_str().map(str::to_owned);
    let message = Message {
        number,
        to: text("to").or_else(|| text("recipient")).unwrap_or_default(),
        callback: text("biz_opaque_callback_data"),
        template: body["template"]["name"].as_str().map(str::to_owned),
    };
    let status = told(&shared.options, &message.number)["status"].clone();
    if status.as_str().is_some_and(|status| status != "CONNECTED") {
        return shared.error(403, 133_010, "the phone number is not registered");
    }
    match shared.numbers.admit(&message.number, &message.to, Instant::now()) {
        Admission::Yes => {}
        Admission::Throughput => {
            return shared.error(400, 130_429, "too many messages from this number");
        }
        Admission::Pair => {
            return shared.error(400, 131_056, "too many messages to this recipient");
        }
        Admission::Banned => return shared.error(403, 368, "the account was restricted"),
    }
    let fate = shared.draw(|rng| shared.options.profile.shares().request(rng));
    answer(&shared, message, fate).await
}

async fn answer(shared: &Arc<Shared>, message: Message, fate: RequestFate) -> Response {
    let status = |held: bool| {
        let status = if held { "held_for_quality_assessment" } else { "accepted" };
        message.template.is_some().then_some(status)
    };
    match fate {
        RequestFate::Answered | RequestFate::Held => {
            let held = fate == RequestFate::Held && message.template.is_some();
            let wamid = shared.take(&message, held);
            accepted(&wamid, Some(&message.to), status(held))
        }
        RequestFate::Throttled => shared.error(400, 130_429, "rate limit hit"),
        RequestFate::PairLimited => shared.error(400, 131_056, "pair rate limit hit"),
        RequestFate::ErrorBefore => shared.error(500, 131_000, "something went wrong"),
        RequestFate::ErrorAfter => {
            shared.take(&message, false);
            shared.error(503, 131_016, "service overloaded")
        }
        RequestFate::ResetBefore => cut_off(),
        RequestFate::ResetAfter => {
            shared.take(&message, false);
            cut_off()
        }
        RequestFate::LateAccept => {
            // In a task of its own: the client is gone by then, and with it this handler.
            let (shared, wait) = (Arc::clone(shared), shared.options.client_timeout);
            let late = wait + shared.draw(|rng| around(Duration::from_millis(300), rng));
            tokio::spawn(async move {
                tokio::time::sleep(late).await;
                shared.take(&message, false);
            });
            std::future::pending().await
        }
    }
}

/// Headers, half a body, and then the connection is gone.
fn cut_off() -> Response {
    let half = Ok(Bytes::from_static(b"{\"messaging_product\":"));
    let gone = Err(std::io::Error::from(std::io::ErrorKind::ConnectionReset));
    Body::from_stream(stream::iter([half, gone])).into_response()
}

async fn upload(
    State(shared): Sim,
    Path((version, id)): Path<(String, String)>,
    headers: HeaderMap,
    mut form: Multipart,
) -> Response {
    if let Some(refused) = shared.refuse(&version, &headers) {
        return refused;
    }
    let (mut product, mut bytes, mut mime) = (false, Bytes::new(), String::new());
    while let Ok(Some(field)) = form.next_field().await {
        let name = field.name().unwrap_or("").to_owned();
        let given = field.content_type().map(str::to_owned);
        let content = field.bytes().await.unwrap_or_default();
        product |= name == "messaging_product" && content == "whatsapp";
        if name == "file" {
            (bytes, mime) = (content, given.unwrap_or("application/octet-stream".to_owned()));
        }
    }
    let number = NumberId::try_new(id);
    match number {
        Ok(number) if product && !bytes.is_empty() => {
            let id = shared.draw(|rng| rng.random_range(10u64.pow(14)..10u64.pow(15))).to_string();
            shared
                .media
                .lock()
                .expect("no panic while held")
                .insert(id.clone(), Uploaded { number, mime, bytes });
            Json(json!({"id": id})).into_response()
        }
        _ => shared.error(400, 100, "messaging_product or file is missing"),
    }
}

/// `GET /{id}`: a number, or an uploaded file; with `phone_number_id` only one of that number.
async fn read_object(
    State(shared): Sim,
    Path((version, id)): Path<(String, String)>,
    Query(query): Query<HashMap<String, String>>,
    headers: HeaderMap,
) -> Response {
    if let Some(refused) = shared.refuse(&version, &headers) {
        return refused;
    }
    let held = shared.media.lock().expect("no panic while held").get(&id).cloned();
    if shared.options.media.contains(&id) {
        return Json(json!({"messaging_product": "whatsapp", "id": id})).into_response();
    }
    if let Some(held) = held {
        let asked = query.get("phone_number_id");
        if asked.is_some_and(|number| number != held.number.as_str()) {
            return shared.unknown_object();
        }
        let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or("");
        return Json(json!({
            "messaging_product": "whatsapp", "id": id, "url": format!("http://{host}/media/{id}"),
            "mime_type": held.mime, "sha256": sha256_hex(&held.bytes), "file_size": held.bytes.len(),
        }))
        .into_response();
    }
    let known = |number: &NumberId| shared.options.numbers.iter().any(|(n, _)| n == number);
    // Any number is one of ours when none are listed, but not what only a file can be asked.
    let open = shared.options.numbers.is_empty() && !query.contains_key("phone_number_id");
    match NumberId::try_new(id) {
        Ok(number) if open || known(&number) => {
            Json(described(&shared.options, &number)).into_response()
        }
        _ => shared.unknown_object(),
    }
}

/// One app gets the account's webhooks.
async fn subscribed_apps(
    State(shared): Sim,
    Path((version, _)): Path<(String, String)>,
    headers: HeaderMap,
) -> Response {
    if let Some(refused) = shared.refuse(&version, &headers) {
        return refused;
    }
    let app = json!({"id": "138483919580948", "name": "Subah", "link": "https://example.in"});
    Json(json!({"data": [{"whatsapp_business_api_data": app}]})).into_response()
}

/// A token of a system user: good, and without an end.
async fn debug_token(
    State(shared): Sim,
    Path(version): Path<String>,
    Query(query): Query<HashMap<String, String>>,
    headers: HeaderMap,
) -> Response {
    if let Some(refused) = shared.refuse(&version, &headers) {
        return refused;
    }
    let asked = query.get("input_token").map_or("", String::as_str);
    let is_valid = !asked.is_empty() && !shared.expects_another(asked);
    Json(json!({"data": {"app_id": "138483919580948", "type": "SYSTEM_USER",
        "application": "Subah", "expires_at": 0, "is_valid": is_valid,
        "scopes": ["whatsapp_business_management", "whatsapp_business_messaging"]}}))
    .into_response()
}

/// `GET /media/{id}`: the file itself.
async fn download(State(shared): Sim, Path(id): Path<String>, headers: HeaderMap) -> Response {
    if let Some(refused) = shared.refuse_without_token(&headers) {
        return refused;
    }
    let held = shared.media.lock().expect("no panic while held").get(&id).cloned();
    match held {
        Some(held) => ([(header::CONTENT_TYPE, held.mime)], held.bytes).into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

/// What the file of numbers says of one; empty when it says nothing.
fn told(options: &Options, number: &NumberId) -> Value {
    let Some(file) = &options.numbers_file else { return Value::Null };
    let text = std::fs::read(file).unwrap_or_default();
    let all: Value = serde_json::from_slice(&text).unwrap_or_default();
    all[number.as_str()].clone()
}

fn described(options: &Options, number: &NumberId) -> Value {
    let mut described = json!({
        "id": number.as_str(),
        "display_phone_number": "+1 555-078-3881",
        "verified_name": "Simulated Advisor Desk",
        "quality_rating": "GREEN",
        "status": "CONNECTED",
        "throughput": {"level": "STANDARD"},
        "messaging_limit_tier": "TIER_UNLIMITED",
    });
    for (key, value) in told(options, number).as_object().into_iter().flatten() {
        described[key] = value.clone();
    }
    described
}

async fn phone_numbers(State(shared): Sim, headers: HeaderMap) -> Response {
    if let Some(refused) = shared.refuse_without_token(&headers) {
        return refused;
    }
    let data: Vec<Value> =
        shared.options.numbers.iter().map(|(n, _)| described(&shared.options, n)).collect();
    Json(json!({"data": data})).into_response()
}

async fn oracle(State(shared): Sim) -> Response {
    let tally = shared.oracle.tally();
    let pending = shared.courier.pending();
    (StatusCode::OK, Json(json!({"oracle": tally, "webhooks_pending": pending}))).into_response()
}

/// Every accepted message by delivery: for harnesses that hold a ledger against it.
async fn oracle_deliveries(State(shared): Sim) -> Response {
    Json(shared.oracle.deliveries()).into_response()
}

#[cfg(test)]
mod tests;

//! Posts to Cloud API and reads every answer as an [`Outcome`].
//!
//! No retries, no redirects: the ledger decides about another try, never the HTTP client.
//! The token goes into the header, never into a URL; errors carry no URL and no body.

use std::sync::{Arc, RwLock};
use std::time::Duration;

use bytes::Bytes;
use domain::facts::{Doubt, NotSent};
use domain::{Failure, FailureClass, MessageId, NumberId, Outcome, Scope, Timestamp, words};
use reqwest::header::{CONTENT_TYPE, DATE, RETRY_AFTER};
use secrecy::{ExposeSecret, SecretString};
use serde::de::DeserializeOwned;
use serde_json::Value;
use url::Url;

use crate::error_codes::{self, Answered};
use crate::options::Options;

/// Largest answer that is read.
const ANSWER_BYTES_MAX: usize = 256 * 1024;

/// Longest hint that is obeyed: the window is five minutes long.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(64);

/// Why a call other than a send gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    #[error("{doing}: no answer from Cloud API")]
    NoAnswer {
        doing: String,
        #[source]
        source: reqwest::Error,
    },
    #[error("{doing}: HTTP {status}, code {code} ({}): {words}", error_codes::meaning(*code))]
    Refused {
        doing: String,
        status: u16,
        code: i32,
        /// Meta's own, without personal data, with its trace.
        words: String,
        /// Not about the account, the number or the token.
        is_about_the_object: bool,
    },
    #[error("{doing}: HTTP {status} with an answer that cannot be read")]
    Unreadable { doing: String, status: u16 },
    #[error("set up the HTTP client: {0}")]
    Client(#[source] reqwest::Error),
    #[error("{doing}: {path}")]
    File {
        doing: &'static str,
        path: String,
        #[source]
        source: std::io::Error,
    },
    #[error("{path}: {why}")]
    Media { path: String, why: String },
}

/// One token's view of Cloud API. Cheap to clone.
#[derive(Clone)]
pub struct CloudApi {
    http: reqwest::Client,
    root: Url,
    token: Arc<RwLock<SecretString>>,
}

/// Graph's error object, as far as it can be read. Its code decides; its texts are kept
/// without what may be personal.
struct GraphError {
    /// Graph always sends one; an error without it came from something in between.
    code: Option<i32>,
    subcode: Option<i32>,
    kind: String,
    is_transient: bool,
    message: String,
    details: String,
    trace: String,
}

/// Field by field: an odd one, such as a code as text or a `null`, never loses the others.
fn graph_error(body: &[u8]) -> Option<GraphError> {
    let answer: Value = serde_json::from_slice(body).ok()?;
    let error = answer.get("error").filter(|error| error.is_object())?;
    let text = |value: &Value| value.as_str().unwrap_or("").to_owned();
    Some(GraphError {
        code: number(&error["code"]),
        subcode: number(&error["error_subcode"]),
        kind: text(&error["type"]),
        is_transient: error["is_transient"].as_bool() == Some(true),
        message: text(&error["message"]),
        details: text(&error["error_data"]["details"]),
        trace: text(&error["fbtrace_id"]),
    })
}

/// A code as a number, or as a text of one.
pub(crate) fn number(value: &Value) -> Option<i32> {
    let whole = || value.as_f64().filter(|n| n.fract() == 0.0 && n.abs() < 2e9).map(|n| n as i32);
    value.as_str().map_or_else(whole, |text| text.trim().parse().ok())
}

impl GraphError {
    fn answer(&self, code: i32) -> error_codes::Answer<'_> {
        let GraphError { subcode, is_transient, .. } = *self;
        error_codes::Answer { code, subcode, kind: &self.kind, is_transient }
    }

    fn words(&self) -> String {
        let words = words::scrubbed(&self.message, &self.details);
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_+/=".contains(c);
        let trace: String = self.trace.chars().filter(|c| plain(*c)).take(40).collect();
        match (words.is_empty(), trace.is_empty()) {
            (_, true) => words,
            (true, false) => format!("trace {trace}"),
            (false, false) => format!("{words} (trace {trace})"),
        }
    }
}

impl CallError {
    /// The account, the token or a permission was refused: every other call is refused as well.
    pub fn is_about_everything(&self) -> bool {
        let CallError::Refused { code, .. } = self else { return false };
        let answer =
            error_codes::Answer { code: *code, subcode: None, kind: "", is_transient: false };
        match error_codes::answered(answer) {
            Answered::Refused(failure) => {
                failure.class == FailureClass::Halted
                    && matches!(failure.scope, Scope::Account | Scope::Auth)
            }
            Answered::Doubtful { .. } => false,
        }
    }

    /// What was refused concerns this object and not the account, the number or the token:
    /// others may go.
    pub fn is_about_the_object(&self) -> bool {
        match self {
            CallError::Media { .. } | CallError::File { .. } => true,
            CallError::Refused { is_about_the_object, .. } => *is_about_the_object,
            _ => false,
        }
    }
}

impl CloudApi {
    /// # Errors
    /// When the TLS set-up of the machine is unusable.
    pub fn new(options: &Options, token: SecretString) -> Result<Self, CallError> {
        let mut builder = reqwest::Client::builder()
            .connect_timeout(options.connect_timeout)
            .timeout(options.total_timeout)
            .pool_idle_timeout(options.idle_timeout)
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .user_agent(concat!("subah/", env!("CARGO_PKG_VERSION")));
        if is_loopback(&options.base_url) {
            builder = builder.no_proxy();
        }
        let http = builder.build().map_err(CallError::Client)?;
        let mut root = options.base_url.clone();
        if let Ok(mut path) = root.path_segments_mut() {
            path.pop_if_empty().push(&options.version);
        }
        Ok(CloudApi { http, root, token: Arc::new(RwLock::new(token)) })
    }

    /// The same way to the same place, with a token of its own.
    #[must_use]
    pub fn with_token(&self, token: SecretString) -> Self {
        CloudApi { token: Arc::new(RwLock::new(token)), ..self.clone() }
    }

    /// Every later request of this client and its clones bears this token.
    pub fn set_token(&self, token: SecretString) {
        *self.token.write().expect("no panic while held") = token;
    }

    /// 23 for `v23.0`.
    pub(crate) fn major_version(&self) -> Option<u32> {
        let version = self.root.path_segments()?.next_back()?;
        version.strip_prefix('v')?.split('.').next()?.parse().ok()
    }

    pub(crate) fn token(&self) -> SecretString {
        self.token.read().expect("no panic while held").clone()
    }

    /// The far side's time, from the `Date` of whatever it answers, to the second. `None`: no
    /// answer within three seconds.
    pub async fn server_time(&self) -> Option<Timestamp> {
        let request = self.http.head(self.root.clone()).timeout(Duration::from_secs(3));
        let answer = request.send().await.ok()?;
        let text = answer.headers().get(DATE)?.to_str().ok()?;
        chrono::DateTime::parse_from_rfc2822(text).ok().map(Timestamp::from)
    }

    /// Posts one message body. Never fails: every way it can go is an [`Outcome`].
    pub async fn send(&self, number: &NumberId, body: Vec<u8>) -> Outcome {
        let url = self.url(&[number.as_str(), "messages"]);
        let request = self
            .http
            .post(url)
            .bearer_auth(self.token().expose_secret())
            .header(CONTENT_TYPE, "application/json")
            .body(body);
        let answer = match request.send().await {
            Ok(answer) => answer,
            Err(error) => return unanswered(&error),
        };
        let status = answer.status().as_u16();
        let retry_after = retry_after(&answer);
        match read(answer).await {
            Ok(body) => classify(status, retry_after, &body),
            Err(doubt) => unclear(doubt),
        }
    }

    /// Reads one Graph object.
    ///
    /// # Errors
    /// By kind: no answer, a Graph error, or an answer that is not what was expected.
    pub async fn get<T: DeserializeOwned>(
        &self,
        path: &[&str],
        query: &[(&str, &str)],
    ) -> Result<T, CallError> {
        let mut url = self.url(path);
        url.query_pairs_mut().extend_pairs(query);
        self.call(format!("GET /{}", path.join("/")), self.http.get(url)).await
    }

    /// The status of a link that is none of Graph's; hosts that know no HEAD are asked for the file.
    pub(crate) async fn head(&self, link: &Url) -> Result<u16, reqwest::Error> {
        let status = self.http.head(link.clone()).send().await?.status().as_u16();
        match status {
            405 | 501 => Ok(self.http.get(link.clone()).send().await?.status().as_u16()),
            status => Ok(status),
        }
    }

    pub(crate) async fn post_json<T: DeserializeOwned>(
        &self,
        path: &[&str],
        body: &Value,
    ) -> Result<T, CallError> {
        let request = self.http.post(self.url(path)).json(body);
        self.call(format!("POST /{}", path.join("/")), request).await
    }

    pub(crate) async fn post_form<T: DeserializeOwned>(
        &self,
        path: &[&str],
        form: reqwest::multipart::Form,
    ) -> Result<T, CallError> {
        let request = self.http.post(self.url(path)).multipart(form);
        self.call(format!("POST /{}", path.join("/")), request).await
    }

    async fn call<T: DeserializeOwned>(
        &self,
        doing: String,
        request: reqwest::RequestBuilder,
    ) -> Result<T, CallError> {
        let answer = match request.bearer_auth(self.token().expose_secret()).send().await {
            Ok(answer) => answer,
            Err(e) => return Err(CallError::NoAnswer { doing, source: e.without_url() }),
        };
        let status = answer.status().as_u16();
        let Ok(body) = read(answer).await else {
            return Err(CallError::Unreadable { doing, status });
        };
        if let Some(error) = graph_error(&body) {
            let (words, code) = (error.words(), error.code.unwrap_or(error_codes::NO_CODE));
            let is_about_the_object = match error_codes::answered(error.answer(code)) {
                Answered::Refused(failure) => failure.class == FailureClass::Rejected,
                Answered::Doubtful { .. } => false,
            };
            // Subcode 33 names the object of the path, which a send's path makes the number.
            let is_about_the_object =
                is_about_the_object || (code == 100 && error.subcode == Some(33));
            return Err(CallError::Refused { doing, status, code, words, is_about_the_object });
        }
        serde_json::from_slice(&body).map_err(|_| CallError::Unreadable { doing, status })
    }

    fn url(&self, path: &[&str]) -> Url {
        let mut url = self.root.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.extend(path);
        }
        url
    }
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
        Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
        Some(url::Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

/// A connect failure never left; anything later may have been taken.
fn unanswered(error: &reqwest::Error) -> Outcome {
    if error.is_builder() {
        return Outcome::NotSent(NotSent::Aborted);
    }
    if error.is_connect() {
        return Outcome::NotSent(no_connection(error));
    }
    let doubt = if error.is_timeout() { Doubt::Timeout } else { Doubt::Reset };
    unclear(doubt)
}

/// Why there is no connection: what a person on duty has to look at.
fn no_connection(error: &reqwest::Error) -> NotSent {
    use std::error::Error;
    let mut cause: Option<&(dyn Error + 'static)> = error.source();
    while let Some(at) = cause {
        if let Some(io) = at.downcast_ref::<std::io::Error>() {
            match (io.raw_os_error(), io.kind()) {
                (Some(23 | 24), _) => return NotSent::Descriptors, // ENFILE, EMFILE
                (_, std::io::ErrorKind::ConnectionRefused) => return NotSent::Refused,
                (_, std::io::ErrorKind::TimedOut) => return NotSent::ConnectTimeout,
                _ => {}
            }
        }
        let text = at.to_string();
        if text.starts_with("dns error") {
            return NotSent::Dns;
        }
        if text.contains("certificate") || text.contains("tls") || text.contains("TLS") {
            return NotSent::Tls;
        }
        cause = at.source();
    }
    if error.is_timeout() { NotSent::ConnectTimeout } else { NotSent::Connect }
}

fn unclear(doubt: Doubt) -> Outcome {
    Outcome::Ambiguous { doubt, code: None, words: String::new() }
}

/// Seconds only: Meta does not document the header, so a date is not expected.
fn retry_after(answer: &reqwest::Response) -> Option<Duration> {
    let text = answer.headers().get(RETRY_AFTER)?.to_str().ok()?;
    let seconds: u64 = text.trim().parse().ok()?;
    Some(Duration::from_secs(seconds).min(RETRY_AFTER_MAX))
}

async fn read(mut answer: reqwest::Response) -> Result<Bytes, Doubt> {
    let mut body = Vec::new();
    loop {
        match answer.chunk().await {
            Ok(Some(chunk)) if body.len() + chunk.len() <= ANSWER_BYTES_MAX => body.extend(chunk),
            Ok(Some(_)) => return Err(Doubt::Unreadable),
            Ok(None) => return Ok(body.into()),
            Err(error) if error.is_timeout() => return Err(Doubt::Timeout),
            Err(_) => return Err(Doubt::Reset),
        }
    }
}

/// Reads an answer to a send. Total: any status with any bytes is some [`Outcome`].
pub fn classify(status: u16, retry_after: Option<Duration>, body: &[u8]) -> Outcome {
    if let Some(error) = graph_error(body)
        && let Some(code) = error.code
    {
        let words = error.words();
        return match error_codes::answered(error.answer(code)) {
            Answered::Refused(failure) => Outcome::Refused { failure, retry_after, words },
            Answered::Doubtful { code } => {
                let usual = error_codes::USUALLY_NOT_TAKEN.contains(&code) || error.is_transient;
                let doubt = if usual { Doubt::GraphError } else { Doubt::ServerError };
                Outcome::Ambiguous { doubt, code: Some(code), words }
            }
        };
    }
    match status {
        200..=299 => {
            let answer: Value = serde_json::from_slice(body).unwrap_or_default();
            accepted(&answer["messages"][0]).unwrap_or_else(|| unclear(Doubt::Unreadable))
        }
        // The one status that says for itself that nothing was taken.
        429 => {
            let (class, scope) = (FailureClass::Throttled, Scope::Number);
            let failure = Failure { code: 429, class, scope };
            Outcome::Refused { failure, retry_after, words: String::new() }
        }
        // A 4xx without a Graph error did not come from Cloud API itself: a proxy, most
        // likely, and nobody knows what it did.
        _ => unclear(Doubt::ServerError),
    }
}

/// `None` for a status such as `paused`: odd, so treated as unknown.
fn accepted(sent: &Value) -> Option<Outcome> {
    let held = match &sent["message_status"] {
        Value::Null => false,
        status => match status.as_str()? {
            "accepted" => false,
            "held_for_quality_assessment" => true,
            _ => return None,
        },
    };
    let id = sent["id"].as_str().filter(|id| !id.is_empty() && id.len() <= 512)?;
    Some(Outcome::Accepted { id: MessageId::new(id), held })
}

#[cfg(test)]
mod tests;

//! Posts to Cloud API and reads every answer as an [`Outcome`].
//!
//! No retries, no redirects: the ledger decides about another try, never the HTTP client.
//! The token goes into the header, never into a URL; errors carry no URL and no body.

use std::time::Duration;

use bytes::Bytes;
use domain::facts::{Doubt, NotSent};
use domain::{Failure, FailureClass, NumberId};
use reqwest::header::{CONTENT_TYPE, RETRY_AFTER};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use url::Url;

use crate::error_codes::{self, Answered};
use crate::options::Options;
use crate::words;

/// Largest answer that is read.
const ANSWER_BYTES_MAX: usize = 256 * 1024;

/// Longest hint that is obeyed: the window is five minutes long.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(64);

/// What one send gave: the rows of the design's table of outcomes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// 200 with a message id. `held`: kept back for quality assessment.
    Accepted { wamid: String, held: bool },
    /// A well-formed error with a code that says the message was not taken.
    Refused { failure: Failure, retry_after: Option<Duration>, trace: String },
    /// Nobody knows whether the message was taken. `code` is 0 without a Graph error.
    Ambiguous { doubt: Doubt, code: i32, trace: String },
    /// The request certainly never left.
    NotSent(NotSent),
}

/// Why a call other than a send gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    #[error("{doing}: no answer from Cloud API")]
    NoAnswer {
        doing: String,
        #[source]
        source: reqwest::Error,
    },
    #[error("{doing}: HTTP {status}, code {code} ({}), trace {trace}: {words}", error_codes::meaning(*code))]
    Refused {
        doing: String,
        status: u16,
        code: i32,
        subcode: Option<i32>,
        trace: String,
        /// Meta's own, without personal data.
        words: String,
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
    token: SecretString,
}

#[derive(Deserialize)]
struct SendAnswer {
    #[serde(default)]
    messages: Vec<SentMessage>,
}

#[derive(Deserialize)]
struct SentMessage {
    id: String,
    #[serde(default)]
    message_status: Option<String>,
}

#[derive(Deserialize)]
struct ErrorAnswer {
    error: GraphError,
}

/// Graph's error object. Its code decides; its texts are kept without what may be personal.
#[derive(Deserialize)]
struct GraphError {
    #[serde(default)]
    message: String,
    #[serde(default)]
    error_data: Option<ErrorData>,
    /// Graph always sends one; an error without it came from something in between.
    #[serde(default)]
    code: Option<i32>,
    #[serde(default)]
    error_subcode: Option<i32>,
    #[serde(default)]
    fbtrace_id: String,
}

#[derive(Deserialize)]
struct ErrorData {
    #[serde(default)]
    details: String,
}

impl GraphError {
    fn words(&self) -> String {
        let details = self.error_data.as_ref().map_or("", |data| data.details.as_str());
        words::scrubbed(&self.message, details)
    }
}

impl CallError {
    /// What was refused concerns this object and not the account, the number or the token:
    /// others may go.
    pub fn is_about_the_object(&self) -> bool {
        match self {
            CallError::Media { .. } | CallError::File { .. } => true,
            CallError::Refused { code, subcode, status, .. } => {
                // Throttling, doubt and a stop are never about one file.
                (400..500).contains(status)
                    && match error_codes::answered(*code, subcode.filter(|_| false), *status) {
                        Answered::Refused(failure) => failure.class == FailureClass::Rejected,
                        Answered::Doubtful { code } => code == error_codes::BAD_MEDIA,
                    }
            }
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
        Ok(CloudApi { http, root, token })
    }

    /// Posts one message body. Never fails: every way it can go is an [`Outcome`].
    pub async fn send(&self, number: &NumberId, body: Vec<u8>) -> Outcome {
        let url = self.url(&[number.as_str(), "messages"]);
        let request = self
            .http
            .post(url)
            .bearer_auth(self.token.expose_secret())
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
            Err(doubt) => Outcome::Ambiguous { doubt, code: 0, trace: String::new() },
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
        let answer = match request.bearer_auth(self.token.expose_secret()).send().await {
            Ok(answer) => answer,
            Err(e) => return Err(CallError::NoAnswer { doing, source: e.without_url() }),
        };
        let status = answer.status().as_u16();
        let Ok(body) = read(answer).await else {
            return Err(CallError::Unreadable { doing, status });
        };
        if let Ok(ErrorAnswer { error }) = serde_json::from_slice(&body) {
            let words = error.words();
            let (code, subcode, trace) =
                (error.code.unwrap_or(0), error.error_subcode, error.fbtrace_id);
            return Err(CallError::Refused { doing, status, code, subcode, trace, words });
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
        return Outcome::NotSent(NotSent::Connect);
    }
    let doubt = if error.is_timeout() { Doubt::Timeout } else { Doubt::Reset };
    Outcome::Ambiguous { doubt, code: 0, trace: String::new() }
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
    if let Ok(ErrorAnswer { error }) = serde_json::from_slice(body)
        && let Some(code) = error.code
    {
        let trace = error.fbtrace_id;
        return match error_codes::answered(code, error.error_subcode, status) {
            Answered::Refused(failure) => Outcome::Refused { failure, retry_after, trace },
            Answered::Doubtful { code } => {
                let usual = error_codes::USUALLY_NOT_TAKEN.contains(&code);
                let doubt = if usual { Doubt::GraphError } else { Doubt::ServerError };
                Outcome::Ambiguous { doubt, code, trace }
            }
        };
    }
    let unclear = |doubt| Outcome::Ambiguous { doubt, code: 0, trace: String::new() };
    match status {
        200..=299 => {
            let answer: Option<SendAnswer> = serde_json::from_slice(body).ok();
            match answer.and_then(|answer| answer.messages.into_iter().next()) {
                Some(sent) => accepted(sent).unwrap_or_else(|| unclear(Doubt::Unreadable)),
                None => unclear(Doubt::Unreadable),
            }
        }
        429 => match error_codes::answered(429, None, status) {
            Answered::Refused(failure) => {
                Outcome::Refused { failure, retry_after, trace: String::new() }
            }
            Answered::Doubtful { .. } => unclear(Doubt::ServerError),
        },
        // A 4xx without a Graph error did not come from Cloud API itself: a proxy, most
        // likely, and nobody knows what it did.
        _ => unclear(Doubt::ServerError),
    }
}

/// `None` for a status such as `paused`: odd, so treated as unknown.
fn accepted(sent: SentMessage) -> Option<Outcome> {
    let held = match sent.message_status.as_deref() {
        None | Some("accepted") => false,
        Some("held_for_quality_assessment") => true,
        Some(_) => return None,
    };
    let usable = !sent.id.is_empty() && sent.id.len() <= 512;
    usable.then_some(Outcome::Accepted { wamid: sent.id, held })
}

#[cfg(test)]
mod tests;

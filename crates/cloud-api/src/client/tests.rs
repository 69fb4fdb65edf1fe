//! Goal: every answer, and every way to get none, is read as the design's table says.
//! Method: literal answers; real sockets for the failures below HTTP.

use std::net::SocketAddr;

use domain::{FailureClass, Scope};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;

fn error(code: i32) -> Vec<u8> {
    let body = json!({"error": {"message": "(#x) to +919876543210", "type": "OAuthException",
        "code": code, "error_data": {"messaging_product": "whatsapp", "details": "…"},
        "fbtrace_id": "AbC"}});
    body.to_string().into_bytes()
}

fn refused(code: i32, class: FailureClass, scope: Scope) -> Outcome {
    let failure = Failure { code, class, scope };
    Outcome::Refused { failure, retry_after: None, words: WORDS.into() }
}

/// Of [`error`]: what is kept of Meta's words.
const WORDS: &str = "(#x) to … … (trace AbC)";

fn doubt(doubt: Doubt, code: impl Into<Option<i32>>, words: &str) -> Outcome {
    Outcome::Ambiguous { doubt, code: code.into(), words: words.into() }
}

/// Name, HTTP status, body, and what it means.
type Case = (&'static str, u16, Vec<u8>, Outcome);

fn ok(status: Option<&str>) -> Vec<u8> {
    let message = json!({"id": "wamid.A", "message_status": status});
    json!({"messaging_product": "whatsapp", "messages": [message]}).to_string().into_bytes()
}

fn accepted(held: bool) -> Outcome {
    Outcome::Accepted { id: domain::MessageId::new("wamid.A"), held }
}

fn answers_that_accept_or_make_no_sense() -> Vec<Case> {
    vec![
        ("accepted", 200, ok(Some("accepted")), accepted(false)),
        ("no status for free-form", 200, ok(None), accepted(false)),
        ("held", 200, ok(Some("held_for_quality_assessment")), accepted(true)),
        ("paused is odd", 200, ok(Some("paused")), doubt(Doubt::Unreadable, None, "")),
        ("200 without an id", 200, b"{}".to_vec(), doubt(Doubt::Unreadable, None, "")),
        (
            "200 with half a body",
            200,
            b"{\"messages\":[{".to_vec(),
            doubt(Doubt::Unreadable, None, ""),
        ),
        (
            "accepted beside an empty error",
            200,
            br#"{"error":null,"errors":[],"messages":[{"id":"wamid.A","message_status":null}]}"#
                .to_vec(),
            accepted(false),
        ),
        ("gateway page", 502, b"<html>".to_vec(), doubt(Doubt::ServerError, None, "")),
        (
            "an error without a code is no word of Graph's",
            502,
            br#"{"error":{"message":"upstream timeout"}}"#.to_vec(),
            doubt(Doubt::ServerError, None, ""),
        ),
        ("proxy's own 403", 403, b"denied".to_vec(), doubt(Doubt::ServerError, None, "")),
    ]
}

fn answers_with_a_code() -> Vec<Case> {
    vec![
        (
            "throughput",
            400,
            error(130_429),
            refused(130_429, FailureClass::Throttled, Scope::Number),
        ),
        ("pair", 403, error(131_056), refused(131_056, FailureClass::Throttled, Scope::Recipient)),
        (
            "parameters",
            400,
            error(132_000),
            refused(132_000, FailureClass::Rejected, Scope::Message),
        ),
        ("paused", 400, error(132_015), refused(132_015, FailureClass::Halted, Scope::Template)),
        ("token", 401, error(190), refused(190, FailureClass::Halted, Scope::Auth)),
        ("banned", 403, error(368), refused(368, FailureClass::Halted, Scope::Account)),
        ("something went wrong", 500, error(131_000), doubt(Doubt::GraphError, 131_000, WORDS)),
        (
            "unknown code, 5xx",
            503,
            error(777),
            refused(777, FailureClass::Rejected, Scope::Message),
        ),
        (
            "code as text, nulls beside",
            400,
            br#"{"error":{"code":"131026","message":null,"error_data":null,"fbtrace_id":null}}"#
                .to_vec(),
            Outcome::Refused {
                failure: Failure {
                    code: 131_026,
                    class: FailureClass::Rejected,
                    scope: Scope::Recipient,
                },
                retry_after: None,
                words: String::new(),
            },
        ),
        (
            "unknown code, 4xx",
            400,
            error(777),
            refused(777, FailureClass::Rejected, Scope::Message),
        ),
    ]
}

#[test]
fn answers_are_read_by_code_and_content() {
    let cases = [answers_that_accept_or_make_no_sense(), answers_with_a_code()];
    for (name, status, body, want) in cases.into_iter().flatten() {
        let got = classify(status, None, &body);
        assert_eq!(got, want, "{name}");
        assert!(!format!("{got:?}").contains("9876543210"), "{name}: a number in the outcome");
    }
    let plain_429 = classify(429, Some(Duration::from_secs(3)), b"");
    let Outcome::Refused { failure, retry_after, .. } = plain_429 else { panic!("{plain_429:?}") };
    assert_eq!(failure.class, FailureClass::Throttled);
    assert_eq!(retry_after, Some(Duration::from_secs(3)));
}

async fn send_to(address: SocketAddr) -> Outcome {
    let options = Options {
        base_url: format!("http://{address}").parse().unwrap(),
        total_timeout: Duration::from_millis(300),
        ..Options::default()
    };
    let api = CloudApi::new(&options, SecretString::from("t")).unwrap();
    api.send(&NumberId::try_new("1").unwrap(), b"{}".to_vec()).await
}

/// A peer that reads the request, answers with `reply` and then closes or keeps silent.
async fn peer(reply: &'static [u8], then_close: bool) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut request = vec![0; 4_096];
        let read = socket.read(&mut request).await.unwrap();
        assert!(read > 0);
        socket.write_all(reply).await.unwrap();
        if !then_close {
            std::future::pending::<()>().await;
        }
    });
    address
}

#[tokio::test]
async fn failures_below_http_say_whether_the_request_left() {
    let closed = {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap()
    };
    assert_eq!(send_to(closed).await, Outcome::NotSent(NotSent::Refused), "nobody listens");
    let reset = peer(b"", true).await;
    assert_eq!(send_to(reset).await, doubt(Doubt::Reset, None, ""), "closed before an answer");
    let silent = peer(b"", false).await;
    assert_eq!(send_to(silent).await, doubt(Doubt::Timeout, None, ""), "no answer in time");
    let half = peer(b"HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\n{\"mess", true).await;
    assert_eq!(send_to(half).await, doubt(Doubt::Reset, None, ""), "closed within the body");
    let stalls = peer(b"HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\n{\"mess", false).await;
    assert_eq!(send_to(stalls).await, doubt(Doubt::Timeout, None, ""), "stalls within the body");
}

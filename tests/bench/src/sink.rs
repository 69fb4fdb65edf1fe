//! A far side that costs as little as can be: answers every POST like Cloud API and notes
//! when it came. A process of its own, on one thread.

use std::convert::Infallible;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use anyhow::Result;
use bytes::Bytes;
use domain::{Clock, SystemClock};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

/// What names a message in its body.
const CALLBACK: &[u8] = b"\"biz_opaque_callback_data\":\"";

#[derive(Default)]
struct Seen(Mutex<Vec<(Bytes, i64)>>);

/// Serves until killed. Prints its address.
///
/// # Errors
/// When the address is taken.
pub async fn serve(listen: SocketAddr) -> Result<()> {
    let listener = TcpListener::bind(listen).await?;
    println!("sink on http://{}", listener.local_addr()?);
    let seen = Arc::new(Seen::default());
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let seen = Arc::clone(&seen);
        tokio::spawn(async move {
            let answer = service_fn(|request| answer(&seen, request));
            // A client that goes away is none of our business.
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), answer)
                .await;
        });
    }
}

async fn answer(
    seen: &Seen,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let at = SystemClock.now().micros();
    let is_post = request.method() == Method::POST;
    let path = request.uri().path().to_owned();
    let body = match request.into_body().collect().await {
        Ok(body) => body.to_bytes(),
        Err(_) => return Ok(Response::new(Full::default())),
    };
    let said = match (is_post, path.as_str()) {
        (false, "/count") => seen.with(|all| all.len().to_string()),
        (false, "/arrivals") => seen.with(|all| arrivals(all)),
        (false, _) => String::new(),
        (true, _) => {
            let n = seen.with(|all| {
                all.push((key(&body), at));
                all.len()
            });
            format!(
                r#"{{"messaging_product":"whatsapp","contacts":[{{"input":"x","wa_id":"x"}}],"messages":[{{"id":"wamid.{n}"}}]}}"#
            )
        }
    };
    Ok(Response::new(Full::new(Bytes::from(said))))
}

impl Seen {
    fn with<T>(&self, f: impl FnOnce(&mut Vec<(Bytes, i64)>) -> T) -> T {
        f(&mut self.0.lock().expect("no panic while held"))
    }
}

fn key(body: &Bytes) -> Bytes {
    let found = body.windows(CALLBACK.len()).position(|window| window == CALLBACK);
    let Some(start) = found.map(|at| at + CALLBACK.len()) else { return Bytes::new() };
    let length = body[start..].iter().position(|b| *b == b'"').unwrap_or(0);
    body.slice(start..start + length)
}

/// `key microseconds` lines, in order of arrival.
fn arrivals(all: &[(Bytes, i64)]) -> String {
    let mut text = String::with_capacity(all.len() * 64);
    for (key, at) in all {
        let _ = writeln!(text, "{} {at}", String::from_utf8_lossy(key));
    }
    text
}

//! Signed status webhooks, as many as the receiver takes: a process of its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Result, ensure};
use cloud_api::signature;
use domain::callback::{Callback, CallbackKey};
use domain::{Clock, DeliveryId, RunId, SystemClock};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use crate::planning::nonce_of;
use crate::sample::quantile;

#[derive(Debug, Serialize, Deserialize)]
pub struct Answered {
    /// When the first one was posted, microseconds since 1970, and how long all took.
    pub began: i64,
    pub seconds: f64,
    pub rate_per_s: f64,
    pub p50_ms: f64,
    pub p99_ms: f64,
    pub max_ms: f64,
}

/// Posts `n` bodies, `concurrency` at a time: one status each, each of another delivery of
/// `run`. They are made before the clock starts.
///
/// # Errors
/// When one is not answered with 200.
pub async fn run(
    url: &str,
    installation: &str,
    run: &RunId,
    n: u32,
    concurrency: u32,
) -> Result<Answered> {
    let secret = SecretString::from("secret-app"); // as in the installation's file
    let key = CallbackKey::derive(secret.expose_secret().as_bytes(), installation);
    let now = SystemClock.now().micros() / 1_000_000;
    let body = |i: u32| {
        let delivery = DeliveryId { run: run.clone(), index: i };
        let callback = Callback { delivery, nonce: nonce_of(i) }.encode(&key);
        let body = body(i, now, &callback);
        let signature = signature::sign(&secret, &body);
        (body, signature)
    };
    let bodies: Arc<Vec<(Vec<u8>, String)>> = Arc::new((0..n).map(body).collect());
    let http = reqwest::Client::builder().no_proxy().build()?;
    let next = Arc::new(AtomicU32::new(0));
    let begun = SystemClock.now();
    let mut loops = tokio::task::JoinSet::new();
    for _ in 0..concurrency {
        let (http, url, bodies, next) =
            (http.clone(), url.to_owned(), Arc::clone(&bodies), Arc::clone(&next));
        loops.spawn(async move {
            let mut took = Vec::new();
            loop {
                let at = next.fetch_add(1, Ordering::Relaxed) as usize;
                let Some((body, signature)) = bodies.get(at) else { return anyhow::Ok(took) };
                let asked = SystemClock.now();
                let request = http.post(&url).header("x-hub-signature-256", signature);
                let answer = request.body(body.clone()).send().await?;
                ensure!(answer.status() == 200, "answered {}", answer.status());
                took.push(SystemClock.now().since(asked).as_secs_f64() * 1e3);
            }
        });
    }
    let mut took = Vec::new();
    while let Some(done) = loops.join_next().await {
        took.extend(done??);
    }
    let seconds = SystemClock.now().since(begun).as_secs_f64();
    took.sort_by(f64::total_cmp);
    Ok(Answered {
        began: begun.micros(),
        seconds,
        rate_per_s: f64::from(n) / seconds,
        p50_ms: quantile(&took, 0.5),
        p99_ms: quantile(&took, 0.99),
        max_ms: took.last().copied().unwrap_or(f64::NAN),
    })
}

fn body(i: u32, now: i64, callback: &str) -> Vec<u8> {
    let status = serde_json::json!({
        "id": format!("wamid.load{i}"),
        "status": "delivered",
        "timestamp": now.to_string(),
        "recipient_id": "919000000000",
        "biz_opaque_callback_data": callback,
    });
    let value = serde_json::json!({
        "messaging_product": "whatsapp",
        "metadata": {"display_phone_number": "15550001"},
        "statuses": [status],
    });
    let body = serde_json::json!({
        "object": "whatsapp_business_account",
        "entry": [{"id": "1", "changes": [{"field": "messages", "value": value}]}],
    });
    serde_json::to_vec(&body).expect("JSON")
}

//! The limit of any sender here: a loop that posts, with nothing to remember.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::Result;

use super::{Job, post};

/// Posts `n` bodies, `concurrency` at a time.
///
/// # Errors
/// When a post fails.
pub async fn run(sink: &str, n: u32, concurrency: u32) -> Result<()> {
    let http = reqwest::Client::builder().no_proxy().build()?;
    let url: Arc<str> = format!("{sink}/v23.0/1001/messages").into();
    let next = Arc::new(AtomicU32::new(0));
    let mut loops = tokio::task::JoinSet::new();
    for _ in 0..concurrency {
        let (http, url, next) = (http.clone(), Arc::clone(&url), Arc::clone(&next));
        loops.spawn(async move {
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                if index >= n {
                    return anyhow::Ok(());
                }
                post(&http, &url, Job::new(index, 0).body()).await?;
            }
        });
    }
    while let Some(done) = loops.join_next().await {
        done??;
    }
    Ok(())
}

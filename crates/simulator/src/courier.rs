//! Sends status webhooks: signed, delayed, batched, repeated, out of order, and again until
//! the receiver answers 200.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use cloud_api::signature;
use domain::{Clock, NumberId};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use secrecy::SecretString;
use serde_json::{Value, json};
use tokio::sync::{Notify, Semaphore};
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::SimulatorError;
use crate::faults::{MessageFate, Profile, Shares, around};
use crate::options::Options;

/// Statuses in one POST; Meta sends up to 1,000.
const BATCH_MAX: usize = 100;
/// POSTs under way at once.
const POSTS_MAX: usize = 32;
/// First wait after an answer other than 200; doubles.
const RETRY_MIN: Duration = Duration::from_secs(4);
const RETRY_MAX: Duration = Duration::from_secs(60);
/// A receiver outage comes once in this span.
const OUTAGE_PERIOD: Duration = Duration::from_secs(60);

/// The user id that this far side knows a number by.
fn user_id(to: &str) -> String {
    let digits = to.trim_start_matches('+');
    if digits.starts_with(|c: char| c.is_ascii_digit()) {
        format!("IN.{:020}", domain::hash::stable64(&["user", digits]))
    } else {
        to.to_owned()
    }
}

fn contact(to: &str) -> String {
    let digits = to.trim_start_matches('+');
    let mut contact = json!({"profile": {"name": "Recipient"}, "user_id": user_id(to)});
    if digits.starts_with(|c: char| c.is_ascii_digit()) {
        contact["wa_id"] = json!(digits);
    }
    contact.to_string()
}

#[derive(Clone, Debug)]
pub struct Taken {
    pub number: NumberId,
    pub wamid: String,
    pub to: String,
    pub callback: Option<String>,
    pub held: bool,
    /// Its name; `None` for other messages.
    pub template: Option<String>,
}

pub struct Courier {
    http: reqwest::Client,
    webhook: Option<Url>,
    secret: SecretString,
    compress: f64,
    category: String,
    shares: Shares,
    profile: Profile,
    clock: Arc<dyn Clock>,
    rng: Mutex<StdRng>,
    heap: Mutex<BinaryHeap<Reverse<Item>>>,
    wake: Notify,
    pending: AtomicUsize,
    posts: Arc<Semaphore>,
    started: Instant,
}

/// One status on its way. Ordered by time, then by number of creation.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Item {
    at: Instant,
    serial: u64,
    tries: u32,
    number: NumberId,
    status: String,
    /// Who it is about, as JSON.
    contact: String,
}

impl Courier {
    pub fn start(
        options: &Options,
        clock: Arc<dyn Clock>,
        stop: CancellationToken,
    ) -> Result<Arc<Self>, SimulatorError> {
        let http = reqwest::Client::builder()
            .no_proxy()
            .timeout(Duration::from_secs(5))
            .build()
            .map_err(SimulatorError::Client)?;
        let courier = Arc::new(Courier {
            http,
            webhook: options.webhook.clone(),
            secret: options.app_secret.clone(),
            compress: options.compress.max(1.0),
            category: options.category.clone(),
            shares: options.profile.shares(),
            profile: options.profile,
            clock,
            rng: Mutex::new(StdRng::seed_from_u64(options.seed ^ 0x5ab)),
            heap: Mutex::default(),
            wake: Notify::new(),
            pending: AtomicUsize::new(0),
            posts: Arc::new(Semaphore::new(POSTS_MAX)),
            started: Instant::now(),
        });
        if courier.webhook.is_some() {
            let running = Arc::clone(&courier);
            tokio::spawn(async move {
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = running.run() => {}
                }
            });
        }
        Ok(courier)
    }

    /// Statuses not yet answered with 200.
    pub fn pending(&self) -> usize {
        self.pending.load(Ordering::SeqCst)
    }

    /// Decides a message's story and schedules its statuses. False when it never arrives
    /// and we say so.
    pub fn report(&self, taken: &Taken) -> bool {
        let now = Instant::now();
        let mut rng = self.rng.lock().expect("no panic while held");
        let fate = self.shares.message(&mut *rng);
        let arrives = !matches!(fate, MessageFate::Undeliverable | MessageFate::FailsOnce);
        if self.webhook.is_none() {
            return arrives;
        }
        let hold = if taken.held { Duration::from_secs(20) } else { Duration::ZERO };
        let mut after = |seconds: f64| around(Duration::from_secs_f64(seconds), &mut *rng);
        let sent = hold + after(0.8);
        let delivered = sent + after(1.5);
        let read = delivered + after(40.0);
        let mut story: Vec<(Duration, &str, i32)> = vec![(sent, "sent", 0)];
        match fate {
            MessageFate::Read => story.extend([(delivered, "delivered", 0), (read, "read", 0)]),
            MessageFate::Delivered => story.push((delivered, "delivered", 0)),
            MessageFate::Unreachable => {}
            MessageFate::Undeliverable => story = vec![(delivered, "failed", 131_026)],
            MessageFate::FailsOnce => story = vec![(delivered, "failed", 131_000)],
        }
        for (after, status, code) in story {
            let happens = after.div_f64(self.compress);
            let text = self.status(taken, status, code, happens).to_string();
            let mut posts = vec![happens];
            if rng.random::<f64>() < self.shares.shuffled {
                let late = Duration::from_secs_f64(rng.random_range(1.0..8.0));
                posts[0] += late.div_f64(self.compress);
            }
            if rng.random::<f64>() < self.shares.repeated {
                let late = Duration::from_secs_f64(rng.random_range(1.0..20.0));
                posts.push(posts[0] + late.div_f64(self.compress));
            }
            for post in posts {
                let serial = rng.random();
                let number = taken.number.clone();
                let contact = contact(&taken.to);
                let (at, status) = (now + post, text.clone());
                self.push(Item { at, serial, tries: 0, number, status, contact });
            }
        }
        arrives
    }

    fn status(&self, taken: &Taken, status: &str, code: i32, after: Duration) -> Value {
        let mut value = json!({
            "id": taken.wamid,
            "status": status,
            "timestamp": (self.clock.now() + after).secs().to_string(),
            "recipient_id": taken.to.trim_start_matches('+'),
            "recipient_user_id": user_id(&taken.to),
        });
        if let Some(callback) = &taken.callback {
            value["biz_opaque_callback_data"] = json!(callback);
        }
        if code == 0 {
            value["pricing"] = json!({"billable": true, "pricing_model": "PMP",
                "type": "regular",
                "category": if taken.template.is_some() { self.category.as_str() } else { "service" }});
        } else {
            let meaning = cloud_api::error_codes::meaning(code);
            value["errors"] = json!([{"code": code, "title": meaning, "message": meaning,
                "error_data": {"details": meaning}}]);
        }
        value
    }

    fn push(&self, item: Item) {
        self.pending.fetch_add(1, Ordering::SeqCst);
        self.heap.lock().expect("no panic while held").push(Reverse(item));
        self.wake.notify_one();
    }

    async fn run(self: Arc<Self>) {
        loop {
            let due = self.take_due();
            if due.is_empty() {
                let next = self.heap.lock().expect("no panic while held").peek().map(|i| i.0.at);
                let until = next.unwrap_or_else(|| Instant::now() + Duration::from_secs(1));
                tokio::select! {
                    () = self.wake.notified() => {}
                    () = tokio::time::sleep_until(until.into()) => {}
                }
                continue;
            }
            let slot = Arc::clone(&self.posts).acquire_owned().await;
            let courier = Arc::clone(&self);
            tokio::spawn(async move {
                courier.deliver(due).await;
                drop(slot);
            });
        }
    }

    /// Due statuses of one number, as many as fit a batch.
    fn take_due(&self) -> Vec<Item> {
        let now = Instant::now();
        let mut heap = self.heap.lock().expect("no panic while held");
        let mut due: Vec<Item> = Vec::new();
        let mut others = Vec::new();
        while due.len() < BATCH_MAX && heap.peek().is_some_and(|next| next.0.at <= now) {
            let Some(Reverse(item)) = heap.pop() else { break };
            match due.first() {
                Some(first) if first.number != item.number => others.push(item),
                _ => due.push(item),
            }
        }
        heap.extend(others.into_iter().map(Reverse));
        due
    }

    async fn deliver(&self, items: Vec<Item>) {
        let answered = !self.is_out() && self.post(&items).await;
        if !answered {
            for item in items.iter().cloned() {
                let grown = RETRY_MIN * 2u32.saturating_pow(item.tries.min(8));
                let wait = grown.min(RETRY_MAX).div_f64(self.compress);
                self.push(Item { at: Instant::now() + wait, tries: item.tries + 1, ..item });
            }
        }
        self.pending.fetch_sub(items.len(), Ordering::SeqCst);
    }

    /// The receiver cannot be reached during part of each period, but not in the first.
    fn is_out(&self) -> bool {
        let outage = self.profile.receiver_outage();
        let elapsed = self.started.elapsed().mul_f64(self.compress);
        let (period, into) = (
            elapsed.as_secs() / OUTAGE_PERIOD.as_secs(),
            elapsed.as_secs() % OUTAGE_PERIOD.as_secs(),
        );
        period > 0 && into < outage.as_secs()
    }

    /// Sends one body of another kind than statuses, once. False: it was not answered with 200.
    pub async fn tell(&self, body: &Value) -> bool {
        self.post_bytes(Bytes::from(body.to_string())).await
    }

    async fn post(&self, items: &[Item]) -> bool {
        let Some(first) = items.first() else { return true };
        let statuses: Vec<&str> = items.iter().map(|item| item.status.as_str()).collect();
        let number = &first.number;
        let contacts: BTreeSet<String> = items.iter().map(|item| item.contact.clone()).collect();
        let contacts = contacts.into_iter().collect::<Vec<_>>().join(",");
        let body = format!(
            r#"{{"object":"whatsapp_business_account","entry":[{{"id":"102290129340398","changes":[{{"field":"messages","value":{{"messaging_product":"whatsapp","metadata":{{"display_phone_number":"15550783881","phone_number_id":"{number}"}},"contacts":[{contacts}],"statuses":[{}]}}}}]}}]}}"#,
            statuses.join(",")
        );
        self.post_bytes(Bytes::from(body)).await
    }

    async fn post_bytes(&self, body: Bytes) -> bool {
        let Some(webhook) = self.webhook.clone() else { return true };
        let signed = signature::sign(&self.secret, &body);
        let request = self
            .http
            .post(webhook)
            .header(signature::HEADER, signed)
            .header("content-type", "application/json")
            .body(body);
        request.send().await.is_ok_and(|answer| answer.status().as_u16() == 200)
    }
}

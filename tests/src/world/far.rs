//! The far side: takes messages, loses answers, reports statuses; and the oracle, which
//! remembers every message that it took.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use cloud_api::Meta;
use domain::callback::{Callback, CallbackKey};
use domain::facts::{Doubt, NotSent};
use domain::outbound::MediaKind;
use domain::{
    DeliveryId, FailureClass, MessageId, Nonce, NumberId, Outbound, Outcome, Scope, Timestamp,
};
use provider::{Capabilities, Outgoing, ProviderError, Uploaded};
use rand::RngExt;
use serde_json::{Value, json};
use simulator::faults::{MessageFate, RequestFate};
use tokio::sync::{Notify, oneshot};

use super::World;
use super::life::Life;
use super::receiver::Receiver;

/// A translation that the campaign has and the far side has not.
pub const MISSING: &str = "mr";
/// How long a client waits for an answer.
const CLIENT_TIMEOUT: Duration = Duration::from_secs(10);

/// A message that the far side took.
#[derive(Clone, Debug)]
pub struct Taken {
    pub delivery: DeliveryId,
    pub nonce: Nonce,
    /// False when its story ends in a `failed` status: nobody ever has it.
    pub arrives: bool,
    pub template: String,
    /// A `delivered` or `read` status was, or will be, sent.
    pub reported: bool,
    pub at: Timestamp,
    /// Whom it went to.
    pub to: String,
}

#[derive(Default)]
pub struct Oracle {
    pub taken: Vec<Taken>,
    /// Requests by delivery, with when they came.
    pub requests: Vec<(DeliveryId, Timestamp)>,
    /// Who said STOP, and when the receiver had answered that.
    pub stops: Vec<(String, Timestamp)>,
}

pub struct Far {
    world: Arc<World>,
    pub oracle: Mutex<Oracle>,
    /// Webhooks and late acceptances that are still on their way.
    busy: AtomicUsize,
    receiver: Mutex<Option<Arc<Receiver>>>,
    pub idle: Notify,
}

impl Far {
    pub fn new(world: Arc<World>) -> Self {
        Far {
            world,
            oracle: Mutex::default(),
            busy: AtomicUsize::new(0),
            receiver: Mutex::default(),
            idle: Notify::new(),
        }
    }

    pub fn reports_to(&self, receiver: Arc<Receiver>) {
        *self.receiver.lock().expect("one thread") = Some(receiver);
    }

    pub fn is_idle(&self) -> bool {
        self.busy.load(Ordering::Relaxed) == 0
    }

    fn later(self: &Arc<Self>, work: impl Future<Output = ()> + Send + 'static) {
        self.busy.fetch_add(1, Ordering::Relaxed);
        let far = Arc::clone(self);
        tokio::spawn(async move {
            work.await;
            far.busy.fetch_sub(1, Ordering::Relaxed);
        });
    }

    /// One request, whatever becomes of the client meanwhile.
    async fn handle(
        self: Arc<Self>,
        number: NumberId,
        body: Vec<u8>,
        answer: oneshot::Sender<Outcome>,
    ) {
        let world = Arc::clone(&self.world);
        let latency = Duration::from_millis(50) + world.span(Duration::from_millis(300));
        tokio::time::sleep(latency / 2).await;
        let text: Value = serde_json::from_slice(&body).expect("we send JSON");
        let callback = text["biz_opaque_callback_data"].as_str().expect("we send callback data");
        let Callback { delivery, nonce } = Callback::peek(callback).expect("in our own form");
        let at = world.now();
        self.oracle.lock().expect("one thread").requests.push((delivery.clone(), at));
        let to = text["to"].as_str().unwrap_or("").to_owned();
        self.now_and_then_something_else(&delivery, &number, &to);
        if let Some(refusal) = self.refuses(&text) {
            tokio::time::sleep(latency / 2).await;
            let _ = answer.send(refusal);
            return;
        }
        let fate = world.draw(|rng| world.setup.chaos.rates().far.request(rng));
        let template = text["template"]["name"].as_str().unwrap_or("").to_owned();
        let callback = callback.to_owned();
        let named = Named { delivery, nonce, callback, number, template, to };
        let take = |far: &Arc<Far>| far.take(&named);
        let outcome = match fate {
            RequestFate::Answered => accepted(take(&self), false),
            RequestFate::Held => accepted(take(&self), true),
            RequestFate::Throttled => refused(130_429, FailureClass::Throttled, Scope::Number),
            RequestFate::PairLimited => refused(131_056, FailureClass::Throttled, Scope::Recipient),
            RequestFate::ErrorBefore => doubtful(Doubt::GraphError),
            RequestFate::ErrorAfter => {
                take(&self);
                doubtful(Doubt::GraphError)
            }
            RequestFate::ResetBefore => doubtful(Doubt::Reset),
            RequestFate::ResetAfter => {
                take(&self);
                doubtful(Doubt::Reset)
            }
            RequestFate::LateAccept => {
                if !world.chance(world.setup.chaos.rates().never_taken) {
                    let (far, wait) = (Arc::clone(&self), world.span(Duration::from_secs(20)));
                    let named = named.clone();
                    self.later(async move {
                        tokio::time::sleep(CLIENT_TIMEOUT + wait).await;
                        far.take(&named);
                    });
                }
                tokio::time::sleep(CLIENT_TIMEOUT).await;
                doubtful(Doubt::Timeout)
            }
        };
        tokio::time::sleep(latency / 2).await;
        let _ = answer.send(outcome); // the client may be gone
    }

    /// What cannot go to anybody: a translation that is not there, a picture that is no good.
    fn refuses(&self, body: &Value) -> Option<Outcome> {
        if body["template"]["language"]["code"] == MISSING {
            return Some(refused(132_001, FailureClass::Halted, Scope::Template));
        }
        let bad_media = self.world.chance(self.world.setup.chaos.rates().bad_media);
        bad_media.then(|| refused(131_053, FailureClass::Rejected, Scope::Message))
    }

    /// What the same webhook brings besides: a status of another installation on the same
    /// app with the same campaign, and a STOP of whoever is written to.
    fn now_and_then_something_else(
        self: &Arc<Self>,
        delivery: &DeliveryId,
        number: &NumberId,
        to: &str,
    ) {
        let rates = self.world.setup.chaos.rates();
        if self.world.chance(rates.foreign) {
            let nonce = Nonce::from(self.world.process_seed());
            let other = CallbackKey::derive(b"simulated", "another installation");
            let callback = Callback { delivery: delivery.clone(), nonce }.encode(&other);
            let (delivery, number) = (delivery.clone(), number.clone());
            let (template, to) = (String::new(), String::new());
            let named = Named { delivery, nonce, callback, number, template, to };
            self.report("wamid.foreign", &named, "delivered", None, self.world.now());
        }
        if self.world.chance(rates.stops) {
            self.stop(to, number, Duration::ZERO);
        }
    }

    /// Somebody says STOP to a number of ours, after a while.
    pub fn stop(self: &Arc<Self>, from: &str, number: &NumberId, wait: Duration) {
        let (far, from, number) = (Arc::clone(self), from.to_owned(), number.clone());
        self.later(async move {
            tokio::time::sleep(wait).await;
            let at = far.world.now();
            let message = json!({"from": from.trim_start_matches('+'), "id": "wamid.stop",
                "type": "text", "timestamp": at.secs().to_string(), "text": {"body": "STOP"}});
            let body = changed(json!({
                "messaging_product": "whatsapp",
                "metadata": {"phone_number_id": number.as_str()}, "messages": [message],
            }));
            far.deliver(body).await;
            let answered = (from, far.world.now());
            far.oracle.lock().expect("one thread").stops.push(answered);
        });
    }

    /// Takes a message and sets its statuses on their way. Returns its id.
    fn take(self: &Arc<Self>, named: &Named) -> String {
        let (world, nonce) = (&self.world, named.nonce);
        let fate = world.draw(|rng| world.setup.chaos.rates().far.message(rng));
        let arrives = !matches!(fate, MessageFate::Undeliverable | MessageFate::FailsOnce);
        let reported = matches!(fate, MessageFate::Delivered | MessageFate::Read);
        let (delivery, template) = (named.delivery.clone(), named.template.clone());
        let (to, at) = (named.to.clone(), world.now());
        let taken = Taken { delivery, nonce, arrives, template, reported, at, to };
        self.oracle.lock().expect("one thread").taken.push(taken);
        tracing::debug!(at = world.seconds(), "takes {} {nonce}", named.delivery);
        let wamid = format!("wamid.{nonce}");
        let mut at = self.report(&wamid, named, "sent", None, world.now());
        match fate {
            MessageFate::Delivered => at = self.report(&wamid, named, "delivered", None, at),
            MessageFate::Read => {
                at = self.report(&wamid, named, "delivered", None, at);
                at = self.report(&wamid, named, "read", None, at);
            }
            MessageFate::Undeliverable => {
                at = self.report(&wamid, named, "failed", Some(131_026), at);
            }
            MessageFate::FailsOnce => {
                at = self.report(&wamid, named, "failed", Some(131_000), at);
            }
            MessageFate::Unreachable => {}
        }
        let _ = at;
        wamid
    }

    /// Sends one status some time after `after`, until it is answered for; returns when it
    /// happened.
    fn report(
        self: &Arc<Self>,
        wamid: &str,
        named: &Named,
        status: &str,
        code: Option<i32>,
        after: Timestamp,
    ) -> Timestamp {
        let world = &self.world;
        let rates = world.setup.chaos.rates();
        let at = after + Duration::from_millis(200) + world.span(Duration::from_secs(3));
        let body = webhook(wamid, named, status, code, at);
        let mut lag = world.span(Duration::from_secs(1));
        if world.chance(rates.late_webhook) {
            lag += world.span(rates.late_webhook_max);
        }
        let copies = if world.chance(rates.far.repeated) { 2 } else { 1 };
        for copy in 0..copies {
            let wait = at.since(world.now()) + lag + Duration::from_secs(7) * copy;
            let (far, body) = (Arc::clone(self), body.clone());
            self.later(async move {
                tokio::time::sleep(wait).await;
                far.deliver(body).await;
            });
        }
        at
    }

    async fn deliver(&self, body: Vec<u8>) {
        let receiver = self.receiver.lock().expect("one thread").clone().expect("there is one");
        let mut pause = Duration::from_secs(1);
        while !receiver.take(&body).await {
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_secs(60));
        }
    }
}

fn webhook(wamid: &str, named: &Named, status: &str, code: Option<i32>, at: Timestamp) -> Vec<u8> {
    let mut report = json!({
        "id": wamid, "status": status, "timestamp": at.secs().to_string(),
        "recipient_id": "919800000000", "biz_opaque_callback_data": named.callback,
    });
    if let Some(code) = code {
        report["errors"] = json!([{"code": code, "title": "failed"}]);
    }
    changed(json!({
        "messaging_product": "whatsapp",
        "metadata": {"display_phone_number": "15550783881", "phone_number_id": named.number.as_str()},
        "statuses": [report],
    }))
}

fn changed(value: Value) -> Vec<u8> {
    let body = json!({
        "object": "whatsapp_business_account",
        "entry": [{"id": "1", "changes": [{"field": "messages", "value": value}]}],
    });
    serde_json::to_vec(&body).expect("a Vec takes any text")
}

fn accepted(wamid: String, held: bool) -> Outcome {
    Outcome::Accepted { id: MessageId::new(wamid), held }
}

fn doubtful(doubt: Doubt) -> Outcome {
    Outcome::Ambiguous { doubt, code: None, words: String::new() }
}

fn refused(code: i32, class: FailureClass, scope: Scope) -> Outcome {
    let failure = domain::Failure { code, class, scope };
    Outcome::Refused { failure, retry_after: None, words: String::new() }
}

/// What a status has to name.
#[derive(Clone)]
struct Named {
    delivery: DeliveryId,
    nonce: Nonce,
    callback: String,
    number: NumberId,
    template: String,
    to: String,
}

/// One process's way to the far side.
pub struct Wire {
    pub far: Arc<Far>,
    pub life: Arc<Life>,
    /// Renders as in life, and is never asked to send.
    pub meta: Arc<Meta>,
}

#[async_trait]
impl Outgoing for Wire {
    fn name(&self) -> &'static str {
        "simulated"
    }

    fn capabilities(&self) -> Capabilities {
        self.meta.capabilities()
    }

    fn render(&self, outbound: Outbound<'_>) -> Vec<u8> {
        self.meta.render(outbound)
    }

    fn meaning(&self, code: i32) -> &'static str {
        self.meta.meaning(code)
    }

    async fn media_id(
        &self,
        _: &NumberId,
        _: MediaKind,
        _: &Path,
        _: Timestamp,
    ) -> Result<Uploaded, ProviderError> {
        unreachable!("there is no media in this campaign")
    }

    async fn knows_media(&self, _: &NumberId, _: &str) -> Result<bool, ProviderError> {
        unreachable!("there is no media in this campaign")
    }

    async fn send(&self, number: &NumberId, body: Vec<u8>) -> Outcome {
        let world = &self.far.world;
        let rates = world.setup.chaos.rates();
        self.life.pass().await;
        // Frozen after the last check and before the first byte: nobody can see this.
        if world.chance(rates.stretch) {
            tokio::time::sleep(world.span(rates.stretch_max)).await;
            self.life.pass().await;
        }
        if world.chance(rates.unreachable) {
            return Outcome::NotSent(NotSent::Connect);
        }
        let (answer, answered) = oneshot::channel();
        let handled = Arc::clone(&self.far).handle(number.clone(), body, answer);
        self.far.later(handled);
        let outcome = tokio::time::timeout(CLIENT_TIMEOUT, answered).await;
        self.life.pass().await;
        match outcome {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) => doubtful(Doubt::Reset),
            Err(_) => doubtful(Doubt::Timeout),
        }
    }
}

impl World {
    /// A seed for a process: nonces of two processes must never meet.
    pub fn process_seed(&self) -> u64 {
        self.draw(|rng| rng.random())
    }
}

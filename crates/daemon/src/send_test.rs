//! One recipient's real message of a date, now. A run of its own with one delivery, so that ledger,
//! journal and statuses know of the message as of any other.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use cloud_api::messages::template_message;
use config::secrets::Credentials;
use config::{CampaignConfig, Config};
use desk::deliveries::shown;
use desk::files::Files;
use desk::foresight::bad_media;
use desk::select::Person;
use desk::{Answer, Told, did, named};
use domain::campaign::CampaignId;
use domain::hash::stable64;
use domain::{Clock, RecipientId, RunId, State, SystemClock, Window};
use ledger::{DeliveryView, Filter, Ledger, Phase, Run};
use scheduler::{Plan, Snapshot};
use serde_json::Value;

use crate::interrupt::interrupted;
use crate::loops::{Ended, Loops, Until, follow};
use crate::parts::Parts;
use crate::{Role, http};

/// How long a test may still begin, and how long its statuses are waited for.
const CLOSES: Duration = Duration::from_secs(60);
const DEADLINE: Duration = Duration::from_secs(120);

/// A test that makes sense.
pub struct Test {
    snapshot: Snapshot,
    recipient: RecipientId,
    run: RunId,
    window: Window,
    /// The message as it would go, the number masked.
    pub body: Value,
}

/// Prepares the test; the inner error: the recipient gets nothing, and why.
///
/// # Errors
/// When the date makes no sense, files cannot be read, or nobody of that id or number is in the list.
pub async fn prepare(
    config: &Config,
    to: &str,
    date: &str,
) -> Result<std::result::Result<Test, Told>> {
    let date = named::date(date, config)?;
    let one = named::campaign(config)?;
    let all = Files::of(config).snapshot(config, one, date).await?.snapshot;
    let person = Person::of(to);
    let mut rows = all.rows.iter().map(|row| &row.recipient);
    let Some(id) = rows.find(|recipient| person.is(recipient)).map(|r| r.id.clone()) else {
        bail!("nobody in the list has that id or phone number: `subah recipients list`");
    };
    let snapshot = all.only(&id);
    let now = SystemClock.now();
    let run = RunId::new(&of_its_own(config, one, &id)?, date);
    let window = Window {
        opens: now,
        target: now,
        spread_until: now + Duration::from_secs(1),
        closes: now + CLOSES,
        deadline: now + DEADLINE,
    };
    let plan = Plan::new(&snapshot, run.clone(), window, now);
    let nothing = |why: &str| Ok(Err(Told::no(format!("{id} gets nothing: {why}"))));
    let call = match plan.at(0).call {
        Err(left_out) => return nothing(&left_out.detail),
        Ok(call) => match bad_media(&call) {
            Some(bad) => return nothing(&bad),
            None => call,
        },
    };
    let address = &snapshot.rows[0].recipient.address;
    let mut body = serde_json::to_value(template_message(address, &call, ""))?;
    if let Some(phone) = address.phone() {
        body["to"] = phone.masked().into();
    }
    Ok(Ok(Test { snapshot, recipient: id, run, window, body }))
}

/// Two tests of one instant are two runs.
fn of_its_own(config: &Config, one: &CampaignConfig, id: &RecipientId) -> Result<CampaignId> {
    let clock = SystemClock.now().to_utc().with_timezone(&config.zone()).format("%H%M%S%3f");
    let whose = stable64(&[id.as_str(), &std::process::id().to_string()]) & 0xffff;
    Ok(CampaignId::try_new(format!("{}-test-{clock}-{whose:04x}", one.campaign.id))?)
}

impl Test {
    pub fn recipient(&self) -> &str {
        self.recipient.as_str()
    }

    pub fn run(&self) -> &str {
        self.run.as_str()
    }

    /// Sends the test and waits for its status, two minutes at most; the delivery, and what became of
    /// it in words.
    ///
    /// # Errors
    /// When a port is taken, credentials are missing, or the store does not answer.
    pub async fn send(&self, config: &Config) -> Result<(Value, Told)> {
        did::note(config, &format!("send-test to {}: run {}", self.recipient, self.run))?;
        send(config, &self.snapshot, &self.run, self.window).await
    }
}

async fn send(
    config: &Config,
    snapshot: &Snapshot,
    id: &RunId,
    window: Window,
) -> Result<(Value, Told)> {
    let parts =
        Arc::new(Parts::new(config, Credentials::load(&config.credentials)?, &Role::ALL).await?);
    // Whatever can fail comes before the plan: a test that did not begin leaves nothing behind.
    let listener = match (&parts.journal, &parts.inbox) {
        (Some(_), Some(_)) => Some(http::bind(config.receiver, "receiver.listen").await?),
        _ => None,
    };
    let stop_at = window.deadline;
    let planned = parts.plan(config, snapshot, id, window, stop_at, &|_| {}).await?;
    if planned.differs {
        bail!("{id} is another test; try again");
    }
    let run = planned.run;
    // Another subah that is running here sends it; without one we do.
    let loops = parts.journal.as_ref().map(|_| Loops::start(&parts, listener));
    let ended = follow(&parts, id, Until::Settled, &|_, _| {}, interrupted()).await;
    let mut told = Told::default();
    if let Some(loops) = loops {
        loops.stop().await;
    }
    let ledger = parts.ledger.as_ref();
    if ledger.counts(id).await?.open() > 0 {
        // What was not sent now is not sent by whoever comes later.
        ledger.set_phase(id, Phase::Cancelled).await?;
        while ledger.sweep(id, 1).await?.more {}
        told.say(format!("{id} is cancelled: nothing more of it is sent"));
    }
    let delivery = only_delivery(ledger, &run).await?;
    told.say(format!("{id}: {}; `subah deliveries show '{}'`", delivery.state, delivery.id));
    let good = matches!(delivery.state, State::Delivered | State::Read);
    let told = told.with(Answer::from_bool(good && ended == Ended::Over));
    Ok((shown(&delivery, config.zone(), false), told))
}

async fn only_delivery(ledger: &dyn Ledger, run: &Run) -> Result<DeliveryView> {
    let found = ledger.list(&run.header.id, &Filter::default(), None, 1).await?;
    found.into_iter().next().context("the test is gone from the ledger")
}

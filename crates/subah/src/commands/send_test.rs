//! `send-test`: one recipient's real message of a date, now. A run of its own with one
//! delivery, so that ledger, journal and statuses know of the message as of any other.

use std::time::Duration;

use std::sync::Arc;

use anyhow::{Context, Result, bail};
use cloud_api::messages::template_message;
use config::Config;
use config::secrets::Credentials;
use domain::campaign::CampaignId;
use domain::hash::stable64;
use domain::{Clock, RunId, State, SystemClock, Window};
use ledger::{DeliveryView, Filter, Ledger, Phase, Run};
use scheduler::{Plan, Snapshot};

use super::deliveries::shown;
use super::one;
use super::select::Person;
use crate::cli::{Role, SendTestArgs};
use crate::exit::Answer;
use crate::files::{self, Files};
use crate::foresight::bad_media;
use crate::morning::{Ended, Loops, Until, follow, interrupted};
use crate::wire::Parts;
use crate::{http, output};

/// How long a test may still begin, and how long its statuses are waited for.
const CLOSES: Duration = Duration::from_secs(60);
const DEADLINE: Duration = Duration::from_secs(120);

pub async fn run(config: &Config, args: &SendTestArgs) -> Result<Answer> {
    let date = files::date(&args.date, config)?;
    let one = one(config)?;
    let all = Files::of(config).snapshot(config, one, date).await?.snapshot;
    let person = Person::of(&args.to);
    let mut rows = all.rows.iter().map(|row| &row.recipient);
    let Some(id) = rows.find(|recipient| person.is(recipient)).map(|r| r.id.clone()) else {
        bail!("nobody in the list has that id or phone number: `subah recipients list`");
    };
    let snapshot = all.only(&id);
    let now = SystemClock.now();
    let clock = now.to_utc().with_timezone(&config.zone()).format("%H%M%S%3f");
    // Two tests of one instant are two runs.
    let whose = stable64(&[id.as_str(), &std::process::id().to_string()]) & 0xffff;
    let name = format!("{}-test-{clock}-{whose:04x}", one.campaign.id);
    let campaign = CampaignId::try_new(name)?;
    let run = RunId::new(&campaign, date);
    let window = Window {
        opens: now,
        target: now,
        spread_until: now + Duration::from_secs(1),
        closes: now + CLOSES,
        deadline: now + DEADLINE,
    };
    let plan = Plan::new(&snapshot, run.clone(), window, now);
    let planned = plan.at(0);
    let recipient = &snapshot.rows[0].recipient;
    let call = match planned.call {
        Ok(call) => match bad_media(&call) {
            None => call,
            Some(bad) => {
                println!("{id} gets nothing: {bad}");
                return Ok(Answer::No);
            }
        },
        Err(left_out) => {
            println!("{id} gets nothing: {}", left_out.detail);
            return Ok(Answer::No);
        }
    };
    if !args.yes {
        let mut body = serde_json::to_value(template_message(&recipient.address, &call, ""))?;
        if let Some(phone) = recipient.address.phone() {
            body["to"] = phone.masked().into();
        }
        println!("{}", serde_json::to_string_pretty(&body)?);
        println!("nothing was sent; --yes sends it to {id}, who also gets the daily run's message");
        return Ok(Answer::Yes);
    }
    output::record(config, "did", &format!("send-test to {id}: run {run}"))?;
    send(config, &snapshot, &run, window).await
}

async fn send(config: &Config, snapshot: &Snapshot, id: &RunId, window: Window) -> Result<Answer> {
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
    output::hint(&format!("{id}: waiting for its status, two minutes at most"));
    let ended = follow(&parts, id, Until::Settled, interrupted()).await;
    if let Some(loops) = loops {
        loops.stop().await;
    }
    let ledger = parts.ledger.as_ref();
    if ledger.counts(id).await?.open() > 0 {
        // What was not sent now is not sent by whoever comes later.
        ledger.set_phase(id, Phase::Cancelled).await?;
        while ledger.sweep(id, 1).await?.more {}
        println!("{id} is cancelled: nothing more of it is sent");
    }
    let delivery = only_delivery(ledger, &run).await?;
    println!("{}", serde_json::to_string_pretty(&shown(&delivery, config.zone(), false))?);
    println!("{}: {}; `subah deliveries show '{}'`", id, delivery.state, delivery.id);
    let good = matches!(delivery.state, State::Delivered | State::Read);
    Ok(Answer::from_bool(good && ended == Ended::Over))
}

async fn only_delivery(ledger: &dyn Ledger, run: &Run) -> Result<DeliveryView> {
    let found = ledger.list(&run.header.id, &Filter::default(), None, 1).await?;
    found.into_iter().next().context("the test is gone from the ledger")
}

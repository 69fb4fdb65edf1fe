//! Slows a number down, or stops it, as its readers and Meta ask for, and moves what it cannot send
//! to the others.
//!
//! Asks Meta every minute around a window, every ten at other times, and at once when a webhook spoke
//! of a number or a sender was refused for one. [`quality::rating`] decides the share of each number's
//! rate; every sender heeds it within a quarter of a second. Invariants: what a person ordered stays
//! until its end; a number that did not answer keeps the order that it has; only deliveries that
//! nobody can have got are moved.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::{Context, Result};
use config::Config;
use domain::{Clock, NumberId, RunId, Timestamp};
use ledger::halts::{self, Thing};
use ledger::orders::{self, Decider, Order, Orders};
use ledger::rehome::rehome;
use ledger::{Ledger, Note, Phase, RunHeader, standing};
use quality::rating::{Rating, Seen, shares};
use telemetry::Fault;
use telemetry::labels::Loop;
use tokio_util::sync::CancellationToken;

use crate::keepers::{self, AGAIN, ask_after, look_after};
use crate::parts::Parts;

/// Before it is looked again whether something waits at a number that sends nothing: what was in hand
/// when it was stopped comes back.
const MOVE_AGAIN: Duration = Duration::from_secs(2);
/// Deliveries that are moved to one number before the next one has its turn.
const CHUNK: usize = 200;
/// Who decides, in the words of the audit.
const KEEPER: &str = "the number keeper";

#[derive(Default)]
struct Looked {
    at: Option<Timestamp>,
    not_before: Timestamp,
    news: Timestamp,
    stopped: BTreeSet<NumberId>,
    /// Numbers that sent nothing, by whosever order, when Meta was asked.
    out: BTreeSet<NumberId>,
    /// By run and number that sends nothing.
    stay: BTreeMap<(RunId, NumberId), Stay>,
    fault: Fault,
}

/// What could not be moved from a number, when it was last looked for.
#[derive(Clone, Copy)]
struct Stay {
    kept: u32,
    at: Timestamp,
}

/// Until `stop`.
pub async fn run(config: &Config, parts: &Parts, stop: CancellationToken) {
    let mut looked = Looked::default();
    loop {
        let pause = look_after(config, parts.clock.now());
        if stop.run_until_cancelled(tokio::time::sleep(pause)).await.is_none() {
            return;
        }
        let now = parts.clock.now();
        match (Keeper { config, parts, looked: &mut looked, now }).look().await {
            Ok(()) => {
                parts.metrics.process.loop_success.of(Loop::NumberKeeper).set(now.secs_f64());
            }
            Err(error) => {
                looked.not_before = now + AGAIN;
                looked.at = None; // asked again then
                if looked.fault.met(&format!("{error:#}")) {
                    tracing::error!("how the numbers stand is not known: {error:#}");
                }
            }
        }
    }
}

/// One look, and what it is made with.
struct Keeper<'a> {
    config: &'a Config,
    parts: &'a Parts,
    looked: &'a mut Looked,
    now: Timestamp,
}

impl Keeper<'_> {
    async fn look(&mut self) -> Result<()> {
        let ledger = self.parts.ledger.as_ref();
        let news = standing::news_at(ledger).await.context("ask the ledger for news")?;
        let of_number = |halt: halts::Halt| match halt.thing {
            Thing::Number(number) => Some(number),
            _ => None,
        };
        let halted = halts::read(ledger).await.context("ask the ledger what is stopped")?;
        let stopped: BTreeSet<NumberId> = halted.into_iter().filter_map(of_number).collect();
        let pause = ask_after(self.config, self.now);
        let due = self.looked.at.is_none_or(|at| self.now.since(at) >= pause);
        // Before anything moves away from a number, it is asked who can take it.
        let orders = orders::read(ledger).await?;
        let numbers = self.config.numbers.iter().map(|number| &number.id);
        let out: BTreeSet<NumberId> =
            numbers.filter(|id| orders.percent(id, self.now) == 0).cloned().collect();
        let told = news > self.looked.news
            || !stopped.is_subset(&self.looked.stopped)
            || !out.is_subset(&self.looked.out);
        let asked = match (self.config.pool.follow_rating, due || told) {
            (true, true) if self.now >= self.looked.not_before => {
                let asked = self.round(&orders).await;
                let looked = &mut *self.looked;
                (looked.at, looked.news, looked.stopped) = (Some(self.now), news, stopped);
                looked.out = out;
                asked
            }
            (true, _) => Ok(()),
            (false, _) => self.let_people_decide(&orders).await,
        };
        // Meta may be away: what an order stops goes through the others all the same.
        self.fail_over().await?;
        asked
    }

    /// Takes back what was ordered while the rating was followed.
    async fn let_people_decide(&self, orders: &Orders) -> Result<()> {
        let ledger = self.parts.ledger.as_ref();
        for number in &self.config.numbers {
            if orders.of(&number.id).any(|order| order.decider == Decider::Keeper) {
                orders::lift(ledger, &number.id, Decider::Keeper).await?;
                self.note(&format!("number {} follows its rating no more", number.id));
            }
        }
        Ok(())
    }

    /// Asks Meta for each number, and gives the orders that follow.
    async fn round(&mut self, held: &Orders) -> Result<()> {
        let (mut seen, mut answered, mut failed) = (Vec::new(), Vec::new(), None);
        for number in &self.config.numbers {
            match self.parts.api_of(&number.id).number(&number.id).await {
                Ok(info) => {
                    let rating = Rating::of(&info.quality_rating);
                    seen.push(Seen { rating, can_send: info.can_send() });
                    answered.push(true);
                }
                Err(error) => {
                    seen.push(Seen { rating: Rating::Unknown, can_send: true });
                    answered.push(false);
                    failed = Some((number.id.clone(), error));
                }
            }
        }
        let shares = shares(&seen, self.config.pool.shares);
        for ((number, (percent, why)), told) in self.config.numbers.iter().zip(shares).zip(answered)
        {
            if told {
                self.order(held, &number.id, percent, why).await?;
            }
        }
        match failed {
            None => {
                if let Some(met) = self.looked.fault.over() {
                    tracing::info!("how the numbers stand is known again; {met} tries had failed");
                }
                Ok(())
            }
            Some((number, error)) => {
                Err(anyhow::Error::from(error).context(format!("ask Meta for number {number}")))
            }
        }
    }

    async fn order(
        &self,
        held: &Orders,
        number: &NumberId,
        percent: u8,
        why: Option<&'static str>,
    ) -> Result<()> {
        let ledger = self.parts.ledger.as_ref();
        let now_held = held.of(number).find(|order| order.decider == Decider::Keeper);
        match (now_held, why) {
            (None, None) => {}
            (Some(order), Some(why)) if order.percent == percent && order.why == why => {}
            (Some(_), None) => {
                orders::lift(ledger, number, Decider::Keeper).await?;
                let percent = orders::read(ledger).await?.percent(number, self.now);
                let words = "Meta asks for nothing any more";
                self.note(&format!("{words}: number {number} sends at {percent} % of its rate"));
            }
            (_, Some(why)) => {
                self.note(&format!("number {number} sends at {percent} % of its rate: {why}"));
                let order = Order {
                    number: number.clone(),
                    decider: Decider::Keeper,
                    percent,
                    since: self.now,
                    until: None,
                    by: KEEPER.to_owned(),
                    why: why.to_owned(),
                };
                orders::give(ledger, &order).await?;
            }
        }
        Ok(())
    }

    /// Moves what waits at numbers that send nothing to those that do.
    async fn fail_over(&mut self) -> Result<()> {
        let ledger = self.parts.ledger.as_ref();
        let orders = orders::read(ledger).await?;
        for number in &self.config.numbers {
            let percent = orders.percent(&number.id, self.now);
            let label = [number.id.as_str()];
            let metrics = &self.parts.metrics.standing;
            metrics.number_share.with_label_values(&label).set(f64::from(percent) / 100.0);
        }
        let (numbers, now) = (&self.config.numbers, self.now);
        let sends = |number: &NumberId| {
            numbers.iter().any(|one| one.id == *number) && orders.percent(number, now) > 0
        };
        let out = |number: &NumberId| orders.percent(number, now) == 0;
        let active = ledger.active_runs().await?;
        self.looked.stay.retain(|(run, _), _| active.iter().any(|one| one.header.id == *run));
        for run in active {
            if !matches!(run.phase, Phase::Open | Phase::Paused) {
                continue;
            }
            let lanes = &run.header.lanes;
            let to: Vec<&NumberId> = lanes.iter().filter(|lane| sends(lane)).collect();
            for from in lanes.iter().filter(|lane| out(lane)) {
                let key = (run.header.id.clone(), from.clone());
                let is_rest = |stay: &Stay| now.since(stay.at) < MOVE_AGAIN;
                if self.looked.stay.get(&key).is_some_and(is_rest) {
                    continue;
                }
                let moved = move_all(ledger, &run.header, from, &to, now).await?;
                self.say_moved(key, moved);
            }
        }
        Ok(())
    }

    fn say_moved(&mut self, key: (RunId, NumberId), (moved, kept): (u32, u32)) {
        let (run, from) = &key;
        if moved > 0 {
            self.note(&format!("{moved} deliveries of {run} go through other numbers than {from}"));
        }
        let before = self.looked.stay.get(&key).map_or(0, |stay| stay.kept);
        if before != kept && kept > 0 {
            tracing::error!(
                run = %run,
                "{kept} deliveries of {run} wait at number {from}, which sends nothing: one of their attempts may have gone"
            );
        }
        self.looked.stay.insert(key, Stay { kept, at: self.now });
    }

    fn note(&self, what: &str) {
        tracing::warn!("{what}");
        keepers::note(self.config, KEEPER, what);
    }
}

/// Moves what waits in one lane to others, in turns; how many moved, and how many stay.
async fn move_all(
    ledger: &dyn Ledger,
    run: &RunHeader,
    from: &NumberId,
    to: &[&NumberId],
    now: Timestamp,
) -> Result<(u32, u32)> {
    let (mut moved, mut kept, mut after, mut turn) = (0, 0, None, 0);
    while let Some(target) = to.get(turn % to.len().max(1)) {
        let by = KEEPER.to_owned();
        let Some(lane) = run.lane_of(target) else { break };
        let change = ledger::Change::Rehome { lane };
        let why = format!("number {from} sends nothing");
        let note = Note { at: now, by, change, why };
        let done = rehome(ledger, &run.id, (from, target), after, CHUNK, Some(&note)).await?;
        (moved, kept, turn) = (moved + done.moved, kept + done.kept, turn + 1);
        match done.next {
            Some(next) => after = Some(next),
            None => break,
        }
    }
    Ok((moved, kept))
}

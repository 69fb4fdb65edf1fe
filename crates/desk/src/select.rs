//! Which deliveries of a run somebody means.

use domain::facts::Ended;
use domain::{NumberId, Recipient, RunId, State, Suppression, person};
use ledger::api::for_each;
use ledger::{DeliveryView, Filter, Ledger, Run};
use scheduler::intake::phone;
use status::miss::{CAUSES, Causes};

use crate::error::{DeskError, Result};

/// Conditions, all of which a delivery has to meet; as a person writes them.
#[derive(Clone, Debug, Default)]
pub struct Which {
    /// Of which run: a date, or the run's id.
    pub date: String,
    /// Names of states.
    pub states: Vec<String>,
    /// An id of the list, or a phone number in any spelling.
    pub recipient: Option<String>,
    /// Only what is missed: what did not arrive in time.
    pub missed: bool,
    /// Only what may have been sent twice.
    pub twice: bool,
    /// Why it was missed, or left out.
    pub cause: Option<String>,
    /// The business number that it goes through.
    pub number: Option<String>,
}

impl Which {
    /// Whether anything but the run is said.
    pub fn narrows(&self) -> bool {
        !self.states.is_empty()
            || self.recipient.is_some()
            || self.missed
            || self.twice
            || self.cause.is_some()
            || self.number.is_some()
    }
}

pub struct Selection {
    run: RunId,
    filter: Filter,
    person: Option<Person>,
    missed: bool,
    twice: bool,
    cause: Option<String>,
    causes: Causes,
}

impl Selection {
    /// Reads the run once, for the causes of what was never tried.
    pub async fn new(ledger: &dyn Ledger, run: &Run, which: &Which) -> Result<Self> {
        let lane = which.number.clone().map(NumberId::try_new).transpose();
        let lane = lane.map_err(|bad| wrong(bad.to_string()))?;
        let lanes = &run.header.lanes;
        if let Some(lane) = lane.as_ref().filter(|lane| !lanes.contains(lane)) {
            let known: Vec<&str> = lanes.iter().map(NumberId::as_str).collect();
            let known = known.join(", ");
            return Err(wrong(format!("{} has no number {lane}, only {known}", run.header.id)));
        }
        let cause = which.cause.as_ref().map(|cause| cause.trim().replace(' ', "_").to_lowercase());
        if let Some(cause) = cause.as_ref().filter(|cause| !is_cause(cause)) {
            let known: Vec<&str> = causes().collect();
            return Err(wrong(format!("unknown cause {cause:?}, expected {}", known.join(", "))));
        }
        let states = which.states.iter().map(|name| state(name));
        let filter = Filter { states: states.collect::<Result<_>>()?, lane };
        let mut causes = Causes::new(run.header.window.deadline);
        let run = run.header.id.clone();
        for_each(ledger, &run, &Filter::default(), |delivery| causes.see(delivery)).await?;
        Ok(Selection {
            run,
            filter,
            person: which.recipient.as_deref().map(Person::of),
            missed: which.missed,
            twice: which.twice,
            cause,
            causes,
        })
    }

    pub async fn for_each(
        &self,
        ledger: &dyn Ledger,
        mut tell: impl FnMut(&DeliveryView) + Send,
    ) -> Result<()> {
        let tell = |delivery: &DeliveryView| {
            if self.fits(delivery) {
                tell(delivery);
            }
        };
        Ok(for_each(ledger, &self.run, &self.filter, tell).await?)
    }

    /// Why a delivery was missed or left out; empty when it was not.
    pub fn why(&self, delivery: &DeliveryView) -> &'static str {
        match &delivery.facts.ended {
            Some(Ended::Suppressed(reason)) => reason.as_str(),
            _ => self.causes.of(delivery).unwrap_or(""),
        }
    }

    fn fits(&self, delivery: &DeliveryView) -> bool {
        self.person.as_ref().is_none_or(|person| person.gets(delivery))
            && (!self.twice || delivery.facts.possible_duplicate())
            && (!self.missed || self.causes.of(delivery).is_some())
            && self.cause.as_deref().is_none_or(|cause| self.why(delivery) == cause)
    }
}

fn state(name: &str) -> Result<State> {
    State::parse(name.trim()).ok_or_else(|| {
        let known: Vec<&str> = State::ALL.iter().map(|s| s.as_str()).collect();
        wrong(format!("unknown state {name:?}, expected {}", known.join(", ")))
    })
}

fn wrong(why: String) -> DeskError {
    DeskError::WrongUse(why)
}

/// Of misses, and of recipients who are left out.
fn causes() -> impl Iterator<Item = &'static str> {
    CAUSES.into_iter().chain(Suppression::ALL.iter().map(|reason| reason.as_str()))
}

fn is_cause(name: &str) -> bool {
    causes().any(|cause| cause == name)
}

/// One person, by id or by phone number in any spelling.
pub struct Person {
    id: String,
    keys: Vec<String>,
}

impl Person {
    pub fn of(text: &str) -> Self {
        let phone = phone::parse(text, None, Some(phone::Country::INDIA)).ok();
        let keys = phone.map(|phone| person::phone_key(&phone)).into_iter().collect();
        Person { id: text.to_owned(), keys }
    }

    pub fn gets(&self, delivery: &DeliveryView) -> bool {
        let Some(message) = &delivery.message else { return false };
        message.recipient.as_str() == self.id
            || person::keys(&message.to).any(|key| self.keys.contains(&key))
    }

    pub fn is(&self, recipient: &Recipient) -> bool {
        recipient.id.as_str() == self.id
            || person::keys(&recipient.address).any(|key| self.keys.contains(&key))
    }
}

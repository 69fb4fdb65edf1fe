//! What the far side knows: how often each delivery was asked for and taken.

use std::collections::{HashMap, HashSet};
use std::sync::Mutex;

use domain::Phone;
use domain::callback::Callback;
use domain::person::phone_key;
use serde::Serialize;

use crate::courier::Taken;

/// Counts by nonce and by delivery. A client with callback data of its own is counted by
/// that text; one without any, by message id.
#[derive(Debug, Default)]
pub struct Oracle(Mutex<Seen>);

#[derive(Debug, Default)]
struct Seen {
    requests: u64,
    accepted: HashMap<String, Vec<Accepted>>,
    /// Deliveries of one run that reached the same person, whatever they are called.
    persons: HashMap<(String, String), HashSet<String>>,
}

/// One accepted message.
#[derive(Clone, Debug, Serialize)]
pub struct Accepted {
    pub nonce: String,
    /// That it was sent from.
    pub number: String,
    /// The template's name; empty for other messages.
    pub template: String,
    /// False when its story ends in a `failed` status: nobody ever has it, so another
    /// message for the same delivery is no duplicate.
    pub arrives: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    pub requests: u64,
    pub accepted: u64,
    pub distinct_deliveries: u64,
    /// Messages beyond the first of each delivery, and of each person in a run, that somebody
    /// could receive.
    pub duplicates: u64,
}

impl Oracle {
    pub(crate) fn asked(&self) {
        self.0.lock().expect("no panic while held").requests += 1;
    }

    pub(crate) fn accepted(&self, taken: &Taken, arrives: bool) {
        let Taken { to, wamid, .. } = taken;
        let callback = taken.callback.as_deref();
        let run = callback.and_then(Callback::peek).map(|ours| ours.delivery.run.to_string());
        let (delivery, nonce) = match callback.map(|text| (text, Callback::peek(text))) {
            Some((_, Some(ours))) => (ours.delivery.to_string(), ours.nonce.to_string()),
            Some((text, None)) => (text.to_owned(), wamid.clone()),
            None => (wamid.clone(), wamid.clone()),
        };
        let mut seen = self.0.lock().expect("no panic while held");
        if let Some(run) = run.filter(|_| arrives) {
            let phone = Phone::try_new(format!("+{}", to.trim_start_matches('+')));
            let person = phone.map_or(to.clone(), |phone| phone_key(&phone));
            seen.persons.entry((run, person)).or_default().insert(delivery.clone());
        }
        seen.accepted.entry(delivery).or_default().push(Accepted {
            nonce,
            number: taken.number.to_string(),
            template: taken.template.clone().unwrap_or_default(),
            arrives,
        });
    }

    pub fn tally(&self) -> Tally {
        let seen = self.0.lock().expect("no panic while held");
        let accepted: usize = seen.accepted.values().map(Vec::len).sum();
        let surplus = |messages: &Vec<Accepted>| {
            messages.iter().filter(|message| message.arrives).count().saturating_sub(1)
        };
        // By delivery, and by person over several deliveries of one run.
        let duplicates: usize = seen.accepted.values().map(surplus).sum();
        let twice: usize = seen.persons.values().map(|deliveries| deliveries.len() - 1).sum();
        let duplicates = duplicates + twice;
        Tally {
            requests: seen.requests,
            accepted: accepted as u64,
            distinct_deliveries: seen.accepted.len() as u64,
            duplicates: duplicates as u64,
        }
    }

    /// Accepted messages by delivery (`run#index`).
    pub fn deliveries(&self) -> HashMap<String, Vec<Accepted>> {
        self.0.lock().expect("no panic while held").accepted.clone()
    }
}

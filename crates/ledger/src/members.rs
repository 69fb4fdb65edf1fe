//! Who has something that the ledger may have forgotten: the hosts whose journals and
//! inboxes must be merged before a restarted store is sent from again.
//!
//! A member is one role of one host with one disk, such as `host-1/sender/5f0c…`: a host
//! that comes back with an empty disk is another, and what it knew is waited for. It joins
//! when it starts, merges what it has whenever the store has a new incarnation, and reports that. When all
//! have reported, the fence is lifted. A host that never comes back is excused by an
//! operator, with a reason that is kept.

use std::collections::{BTreeMap, BTreeSet};

use domain::Timestamp;
use serde::{Deserialize, Serialize};

use crate::api::Ledger;
use crate::cell;
use crate::error::Result;

const CELL: &str = "members";

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Members {
    pub members: BTreeMap<String, Member>,
    pub excused: Vec<Excused>,
    /// The incarnation that is being recovered from, and since when.
    pub recovering: Option<(String, Timestamp)>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    pub joined_at: Timestamp,
    /// The incarnation whose ledger has all that it knows; none before the first recovery.
    pub merged: Option<String>,
    /// Known from another member's disk only: it has never spoken to this store.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub hearsay: bool,
}

/// A host that was left out of a recovery.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Excused {
    pub host: String,
    pub at: Timestamp,
    pub by: String,
    pub why: String,
}

/// The member that `role` of `host` is, with what it keeps on `disk`.
pub fn name(host: &str, role: &str, disk: &str) -> String {
    format!("{host}/{role}/{disk}")
}

/// The host that a member is a role of.
pub fn host(name: &str) -> &str {
    name.split('/').next().unwrap_or(name)
}

impl Members {
    /// Whether the member's host was left out by a person.
    pub fn is_excused(&self, name: &str) -> bool {
        self.excused.iter().any(|excused| host(name) == excused.host)
    }

    /// Whether the store holds the member's report that it has merged into `incarnation`.
    pub fn has_merged(&self, name: &str, incarnation: &str) -> bool {
        self.members.get(name).is_some_and(|m| m.merged.as_deref() == Some(incarnation))
    }

    /// Members that have not merged into `incarnation`.
    pub fn missing(&self, incarnation: &str) -> Vec<String> {
        let behind = self.members.iter().filter(|(_, m)| m.merged.as_deref() != Some(incarnation));
        behind.map(|(name, _)| name.clone()).collect()
    }

    /// Whether one of these has never spoken to this store. It may be sending from another one
    /// right now: that this is the wrong store is as likely as that the store was emptied.
    pub fn is_one_elsewhere(&self, names: &[String]) -> bool {
        names.iter().filter_map(|name| self.members.get(name)).any(|member| member.hearsay)
    }
}

/// Makes the member known; again does no harm. Returns since when it is: a store that
/// loses its latest writes must not forget a member that has sent, so nothing is sent in a
/// member's first seconds.
///
/// # Errors
/// When the ledger does not answer.
pub async fn join(ledger: &dyn Ledger, name: &str, now: Timestamp) -> Result<Timestamp> {
    let join = |members: &mut Members| {
        let fresh = Member { joined_at: now, ..Member::default() };
        let member = members.members.entry(name.to_owned()).or_insert(fresh);
        member.hearsay = false;
        member.joined_at
    };
    cell::update(ledger, CELL, join).await
}

/// What a member says of itself and of the others.
pub struct Report<'a> {
    pub incarnation: &'a str,
    /// It has just merged all that it knows; else a report from before is left as it is, which the
    /// store may have lost meanwhile with all that was merged.
    pub has_merged: bool,
    /// Other members that it has met.
    pub known: &'a BTreeSet<String>,
}

/// Notes that the member's knowledge is in the ledger. Members that are known to it and that the
/// store has forgotten are members again: what they know is waited for too. Returns everyone as
/// they stand then.
///
/// # Errors
/// When the ledger does not answer.
pub async fn report(
    ledger: &dyn Ledger,
    name: &str,
    report: &Report<'_>,
    now: Timestamp,
) -> Result<Members> {
    let Report { incarnation, has_merged, known } = *report;
    let report = |members: &mut Members| {
        let fresh = Member { joined_at: now, ..Member::default() };
        let hearsay = Member { hearsay: true, ..fresh.clone() };
        for other in known {
            if !members.is_excused(other) {
                members.members.entry(other.clone()).or_insert_with(|| hearsay.clone());
            }
        }
        let member = members.members.entry(name.to_owned()).or_insert(fresh);
        if has_merged {
            member.merged = Some(incarnation.to_owned());
        }
        member.hearsay = false;
        if members.recovering.as_ref().is_none_or(|(name, _)| name != incarnation) {
            members.recovering = Some((incarnation.to_owned(), now));
        }
        members.clone()
    };
    cell::update(ledger, CELL, report).await
}

/// Leaves a host out for good: its members are waited for no more. Returns them.
///
/// # Errors
/// When the ledger does not answer.
pub async fn excuse(ledger: &dyn Ledger, excused: &Excused) -> Result<Vec<String>> {
    let excuse = |members: &mut Members| {
        let of_host = |name: &String| host(name) == excused.host;
        let gone: Vec<String> = members.members.keys().filter(|m| of_host(m)).cloned().collect();
        members.members.retain(|name, _| !of_host(name));
        if !gone.is_empty() {
            members.excused.push(excused.clone());
        }
        gone
    };
    cell::update(ledger, CELL, excuse).await
}

/// # Errors
/// When the ledger does not answer.
pub async fn read(ledger: &dyn Ledger) -> Result<Members> {
    cell::read(ledger, CELL).await
}

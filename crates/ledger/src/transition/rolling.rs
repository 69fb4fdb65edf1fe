//! Rows of a rolling run that come, that were forgotten, and that come back. Pure.

use domain::{Attempt, Facts, NumberId, Timestamp};

use super::ends::end_if_over;
use super::evidence::settle;
use crate::api::{NewRow, Run};
use crate::record::Record;

/// The record of a row that is new to the store.
pub fn appended(run: &Run, row: &NewRow, now: Timestamp) -> Record {
    let asked_at = now - row.asked_ago;
    let suspect = run.rows_doubted_at.is_some_and(|doubted_at| asked_at < doubted_at);
    let facts = Facts { suspect, ..Facts::default() };
    let mut record = Record::new(row.lane, row.due_at, facts, &run.header.policy);
    record.expires_at = Some(row.expires_at);
    record
}

/// What is known of a row that the store has forgotten: this attempt.
pub fn stub(run: &Run, news: &Attempt, number: Option<&NumberId>, now: Timestamp) -> Record {
    let mut record = Record::forgotten(now, &run.header.policy);
    let lane = number.and_then(|number| run.header.lane_of(number));
    record.facts.merge_attempt(&Attempt { lane, ..news.clone() });
    record.settle(&run.header.policy);
    record
}

/// The forgotten row is appended again: what is known of its attempts counts. If that cannot be read
/// any more, nobody knows what was tried: the row stays in quarantine, and says so.
pub fn adopt(record: &mut Record, run: &Run, row: &NewRow, now: Timestamp) {
    let forgotten = record.is_forgotten();
    let damage = record.damage.take().filter(|_| !forgotten);
    let facts = std::mem::take(&mut record.facts);
    *record = appended(run, row, now);
    let ended = facts.ended.filter(|_| damage.is_some());
    record.facts.merge(&Facts { ended, ..facts });
    record.damage = damage;
    let before = record.state;
    settle(record, run, before);
    end_if_over(record, run, now);
}

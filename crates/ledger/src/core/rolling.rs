//! Calls about rows of a rolling run: by their keys, and by whom they are to.

use std::collections::BTreeSet;

use domain::{Attempt, DeliveryId, NumberId, RunId, State, Timestamp};

use super::rows::{Rows, existing, readable};
use crate::api::{Appended, NewRow, NotAppended, RowKey, Run, not_appended};
use crate::error::{LedgerError, Result};
use crate::opt_outs;
use crate::record::Record;
use crate::transition;

/// Adds the rows whose keys are not there; the rest are answered.
pub fn append(
    rows: &mut impl Rows,
    id: &RunId,
    new: &[NewRow],
    now: Timestamp,
) -> Result<Vec<Appended>> {
    let mut run = existing(rows, id)?;
    let (fenced, before) = (rows.fenced(id)?, run.cursor);
    let mut appended = Vec::with_capacity(new.len());
    for row in new {
        appended.push(if let Some(index) = rows.index_of(id, &row.key)? {
            let same = matches!(rows.message(id, index), Ok(held) if held == row.message);
            there(index, same)
        } else if let Some(why) = not_appended(&run, row, now) {
            Appended::Refused(why)
        } else if fenced {
            // The key may be one that the store has forgotten.
            return Err(LedgerError::StoreRestarted { engine: "model", run: id.clone() });
        } else {
            append_one(rows, &mut run, row, now)?
        });
    }
    if run.cursor > before {
        rows.put_run(&run)?;
    }
    Ok(appended)
}

fn append_one(
    rows: &mut impl Rows,
    run: &mut Run,
    row: &NewRow,
    now: Timestamp,
) -> Result<Appended> {
    let id = run.header.id.clone();
    let (index, forgotten) = place_of(rows, run, &row.key)?;
    rows.put_body(&id, &row.message.body, &row.body)?;
    rows.put_key(&id, &row.key, index)?;
    for person in opt_outs::hashes(&row.message.to) {
        rows.put_person(&id, &person, index)?;
    }
    let Some(mut record) = forgotten else {
        let record = transition::appended(run, row, now);
        rows.insert(run, index, &record, Some(&row.message))?;
        run.cursor += 1;
        return Ok(Appended::Added(index));
    };
    let was = record.state;
    transition::adopt(&mut record, run, row, now);
    rows.put_message(&id, index, &row.message)?;
    rows.put(run, index, &record, was)?;
    Ok(Appended::There(index))
}

/// Where a row belongs: its own index, or the first one after it that no other row has; and what
/// is known of it there by its news alone. Such a row has no message, which says so also when its
/// record cannot be read any more: a second row for its key would be a second message.
fn place_of(rows: &mut impl Rows, run: &Run, key: &RowKey) -> Result<(u32, Option<Record>)> {
    let mut index = key.index();
    loop {
        let Some(record) = readable(rows, run, index)? else { return Ok((index, None)) };
        if record.is_forgotten() || !rows.has_message(&run.header.id, index)? {
            return Ok((index, Some(record)));
        }
        index = index.wrapping_add(1);
    }
}

/// A key names one message: what is the same is answered, what is not is refused.
pub fn there(index: u32, same: bool) -> Appended {
    match same {
        true => Appended::There(index),
        false => Appended::Refused(NotAppended::OtherRow),
    }
}

/// News of a row that a rolling run has forgotten is kept where the row will come back; its state.
/// `None`: there is no such run.
pub fn keep_news(
    rows: &mut impl Rows,
    id: &DeliveryId,
    news: &Attempt,
    number: Option<&NumberId>,
    now: Timestamp,
) -> Result<Option<State>> {
    let Some(mut run) = rows.run(&id.run)?.filter(|run| run.header.is_rolling()) else {
        return Ok(None);
    };
    let record = transition::stub(&run, news, number, now);
    rows.insert(&run, id.index, &record, None)?;
    run.cursor += 1;
    rows.put_run(&run)?;
    Ok(Some(record.state))
}

pub fn by_keys(rows: &mut impl Rows, id: &RunId, keys: &[RowKey]) -> Result<Vec<Option<u32>>> {
    existing(rows, id)?;
    keys.iter().map(|key| rows.index_of(id, key)).collect()
}

pub fn to_people(rows: &mut impl Rows, id: &RunId, people: &[String]) -> Result<Vec<u32>> {
    existing(rows, id)?;
    let mut found = BTreeSet::new();
    for person in people {
        found.extend(rows.indexes_to(id, person)?);
    }
    Ok(found.into_iter().collect())
}

//! How records and messages stand in a store: compact bytes with a checksum, because a flipped
//! digit of a phone number makes sense too, and is another person. `subah deliveries show` prints
//! them for people.
//!
//! | bytes | of a record |
//! | --- | --- |
//! | 0 | the form: 2, or 3 if an attempt names the template that it was sent as. JSON of earlier versions begins with `{` |
//! | 1 | flags; 1: the store has forgotten its row ([`Record::forgotten`]) |
//! | 2 | the state's place in [`State::ALL`] |
//! | 3, 4 | the lane, little endian |
//! | 5 to 12 | when it was due, microseconds since 1970, little endian |
//! | … | everything else, in postcard; instants count from the due one |
//! | … | in form 3, for each attempt the template that it was sent as, if not the planned one |
//! | last 4 | CRC32C of all before, little endian |
//!
//! Lua and whoever finds a damaged record read the head alone. A message is its form, postcard
//! and checksum.

mod earlier;

use std::borrow::Cow;

use domain::facts::Ended;
use domain::failure::ReportedFailure;
use domain::{
    Address, Attempt, Facts, Http, Nonce, RecipientId, Resolution, RunId, State, TemplateName,
    Timestamp,
};
use serde::{Deserialize, Serialize};

use crate::api::{Envelope, Note, RunHeader};
use crate::body_hash::BodyHash;
use crate::error::{LedgerError, Result};
use crate::record::Record;

/// The form that this program writes …
const FORM: u8 = 2;
/// … and that of a record with an attempt that was sent as another template than the planned one:
/// rare, and an older program would misread it. The highest that this program knows.
const FORM_SENT_AS: u8 = 3;
const FORGOTTEN: u8 = 1;
const HEAD: usize = 13;
const SUM: usize = 4;

/// A record as it is stored.
pub(crate) fn record(record: &Record) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(96);
    let state = State::ALL.iter().position(|state| *state == record.state).unwrap_or_default();
    let flags = if record.is_forgotten() { FORGOTTEN } else { 0 };
    let attempts = &record.facts.attempts;
    let sent_as = attempts.iter().any(|attempt| attempt.sent_as.is_some());
    let form = if sent_as { FORM_SENT_AS } else { FORM };
    bytes.extend([form, flags, u8::try_from(state).unwrap_or(u8::MAX)]);
    bytes.extend(record.lane.to_le_bytes());
    bytes.extend(record.due_at.micros().to_le_bytes());
    let rest = Rest::of(record);
    match sent_as {
        false => sealed(bytes, &rest),
        true => {
            let names: Vec<_> = attempts.iter().map(|attempt| &attempt.sent_as).collect();
            sealed(bytes, &(rest, names))
        }
    }
}

/// Reads what was stored of delivery `index`.
///
/// # Errors
/// [`LedgerError::Corrupt`] when it makes no sense, [`LedgerError::Newer`] when a newer version of
/// this program wrote it.
pub(crate) fn read_record(header: &RunHeader, index: u32, stored: &[u8]) -> Result<Record> {
    let (run, what) = (&header.id, || format!("delivery {index}"));
    let record = match earlier::is_json(stored) {
        true => earlier::read(stored).map_err(|why| corrupt(run, what(), why))?,
        false => {
            let (rest, names): (Rest<'_>, Vec<Option<TemplateName>>) = match stored.first() {
                Some(&FORM_SENT_AS) => unsealed(run, what, stored, HEAD)?,
                _ => (unsealed(run, what, stored, HEAD)?, Vec::new()),
            };
            let no_state = || corrupt(run, what(), "its head names no state".to_owned());
            let mut record = rest.record(Head::read(stored).ok_or_else(no_state)?);
            for (attempt, name) in record.facts.attempts.iter_mut().zip(names) {
                attempt.sent_as = name;
            }
            record
        }
    };
    if usize::from(record.lane) >= header.lanes.len() && record.state != State::Suppressed {
        let lanes = header.lanes.len();
        return Err(corrupt(run, what(), format!("lane {} of {lanes}", record.lane)));
    }
    Ok(record)
}

/// A message as it is stored.
pub(crate) fn message(message: &Envelope) -> Vec<u8> {
    let Envelope { recipient, to, body } = message;
    let stored =
        Message { id: recipient.as_str().into(), to: Cow::Borrowed(to), body: body.bytes().into() };
    sealed(vec![FORM], &stored)
}

/// Reads a stored message; `what` names it in errors.
///
/// # Errors
/// As [`read_record`].
pub(crate) fn read_message(run: &RunId, what: &str, stored: &[u8]) -> Result<Envelope> {
    if earlier::is_json(stored) {
        return earlier::read(stored).map_err(|why| corrupt(run, what.to_owned(), why));
    }
    let Message { id, to, body } = unsealed(run, || what.to_owned(), stored, 1)?;
    let (recipient, to) = (RecipientId::new(id), to.into_owned());
    Ok(Envelope { recipient, to, body: BodyHash::from_bytes(&body) })
}

/// Stands for a record that cannot be read. What was stored may still tell its lane and its
/// due instant; `was` is the state that the store's own indexes give it.
///
/// It may have been tried unless it was never claimed, so a second try is a possible
/// duplicate.
pub(crate) fn in_place_of(
    stored: &[u8],
    was: Option<State>,
    why: &str,
    header: &RunHeader,
) -> Record {
    let (held, lane, due_at) = hints(stored);
    let lane = lane.filter(|lane| usize::from(*lane) < header.lanes.len());
    let due_at = due_at.unwrap_or(header.window.opens);
    let suspect = was.or(held) != Some(State::Planned);
    let facts = Facts { ended: Some(Ended::Quarantined), suspect, ..Facts::default() };
    let mut record = Record::new(lane.unwrap_or(0), due_at, facts, &header.policy);
    record.damage = Some(why.to_owned());
    record
}

/// What stands before the rest of a record, and can be read without it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Head {
    state: State,
    lane: u16,
    due_at: Timestamp,
}

impl Head {
    fn read(stored: &[u8]) -> Option<Head> {
        let head = stored.get(..HEAD).filter(|head| (FORM..=FORM_SENT_AS).contains(&head[0]))?;
        let state = *State::ALL.get(usize::from(head[2]))?;
        let lane = u16::from_le_bytes(head[3..5].try_into().ok()?);
        let due_at = i64::from_le_bytes(head[5..].try_into().ok()?);
        Some(Head { state, lane, due_at: Timestamp::from_micros(due_at) })
    }
}

/// Everything but the head. Instants count from the due one, in microseconds: small numbers are
/// stored in few bytes.
#[derive(Serialize, Deserialize)]
struct Rest<'a> {
    next_in: i64,
    expires_in: Option<i64>,
    lease_token: u32,
    lease_in: Option<i64>,
    lost_leases: u32,
    strikes: u32,
    damage: Option<Cow<'a, str>>,
    notes: Cow<'a, [Note]>,
    attempts: Vec<Tried<'a>>,
    ended: Option<Ended>,
    resolved: Option<Resolution>,
    requeued_in: Option<i64>,
    suspect: bool,
}

/// An attempt.
#[derive(Serialize, Deserialize)]
struct Tried<'a> {
    nonce: u64,
    lane: Option<u16>,
    intent_in: Option<i64>,
    dispatched_in: Option<i64>,
    written_off_in: Option<i64>,
    http: Cow<'a, Http>,
    accepted_in: Option<i64>,
    sent_in: Option<i64>,
    delivered_in: Option<i64>,
    read_in: Option<i64>,
    failed: Option<ReportedFailure>,
    words: Option<Cow<'a, str>>,
    time_doubted: bool,
}

#[derive(Serialize, Deserialize)]
struct Message<'a> {
    id: Cow<'a, str>,
    to: Cow<'a, Address>,
    body: Cow<'a, [u8]>,
}

/// From one instant to another and back: any two of them.
fn since(at: Timestamp, due_at: Timestamp) -> i64 {
    at.micros().wrapping_sub(due_at.micros())
}

fn after(span: i64, due_at: Timestamp) -> Timestamp {
    Timestamp::from_micros(due_at.micros().wrapping_add(span))
}

impl<'a> Rest<'a> {
    fn of(record: &'a Record) -> Self {
        let due = record.due_at;
        let span = |at: Option<Timestamp>| at.map(|at| since(at, due));
        let Facts { attempts, ended, resolved, requeued_at, suspect } = &record.facts;
        Rest {
            next_in: since(record.next_at, due),
            expires_in: span(record.expires_at),
            lease_token: record.lease_token,
            lease_in: span(record.lease_until),
            lost_leases: record.lost_leases,
            strikes: record.strikes,
            damage: record.damage.as_deref().map(Cow::Borrowed),
            notes: Cow::Borrowed(&record.notes),
            attempts: attempts.iter().map(|attempt| Tried::of(attempt, due)).collect(),
            ended: *ended,
            resolved: *resolved,
            requeued_in: span(*requeued_at),
            suspect: *suspect,
        }
    }

    fn record(self, Head { state, lane, due_at }: Head) -> Record {
        let at = |span: Option<i64>| span.map(|span| after(span, due_at));
        Record {
            lane,
            due_at,
            next_at: after(self.next_in, due_at),
            expires_at: at(self.expires_in),
            state,
            lease_token: self.lease_token,
            lease_until: at(self.lease_in),
            lost_leases: self.lost_leases,
            strikes: self.strikes,
            damage: self.damage.map(Cow::into_owned),
            notes: self.notes.into_owned(),
            facts: Facts {
                attempts: self.attempts.into_iter().map(|tried| tried.attempt(due_at)).collect(),
                ended: self.ended,
                resolved: self.resolved,
                requeued_at: at(self.requeued_in),
                suspect: self.suspect,
            },
        }
    }
}

impl<'a> Tried<'a> {
    fn of(attempt: &'a Attempt, due: Timestamp) -> Self {
        let span = |at: Option<Timestamp>| at.map(|at| since(at, due));
        Tried {
            nonce: attempt.nonce.into(),
            lane: attempt.lane,
            intent_in: span(attempt.intent_at),
            dispatched_in: span(attempt.dispatched_at),
            written_off_in: span(attempt.written_off_at),
            http: Cow::Borrowed(&attempt.http),
            accepted_in: span(attempt.accepted_at),
            sent_in: span(attempt.sent_at),
            delivered_in: span(attempt.delivered_at),
            read_in: span(attempt.read_at),
            failed: attempt.failed,
            words: attempt.words.as_deref().map(Cow::Borrowed),
            time_doubted: attempt.time_doubted,
        }
    }

    fn attempt(self, due_at: Timestamp) -> Attempt {
        let at = |span: Option<i64>| span.map(|span| after(span, due_at));
        Attempt {
            nonce: Nonce::from(self.nonce),
            lane: self.lane,
            intent_at: at(self.intent_in),
            dispatched_at: at(self.dispatched_in),
            written_off_at: at(self.written_off_in),
            http: self.http.into_owned(),
            accepted_at: at(self.accepted_in),
            sent_at: at(self.sent_in),
            delivered_at: at(self.delivered_in),
            read_at: at(self.read_in),
            failed: self.failed,
            words: self.words.map(Cow::into_owned),
            time_doubted: self.time_doubted,
            sent_as: None,
        }
    }
}

fn sealed(head: Vec<u8>, rest: &impl Serialize) -> Vec<u8> {
    let mut bytes = postcard::to_extend(rest, head).expect("a Vec takes everything");
    let sum = crc32c::crc32c(&bytes);
    bytes.extend(sum.to_le_bytes());
    bytes
}

fn unsealed<'a, T: Deserialize<'a>>(
    run: &RunId,
    what: impl Fn() -> String,
    stored: &'a [u8],
    head: usize,
) -> Result<T> {
    let bad = |why: String| corrupt(run, what(), why);
    let whole = stored.len().checked_sub(SUM).filter(|end| *end >= head);
    let Some((before, sum)) = whole.map(|end| stored.split_at(end)) else {
        return Err(bad("it is cut off".to_owned()));
    };
    // Of a damaged one nobody knows which version wrote it.
    if sum != crc32c::crc32c(before).to_le_bytes() {
        return Err(bad("its checksum does not fit".to_owned()));
    }
    if !(FORM..=FORM_SENT_AS).contains(&before[0]) {
        let (run, found) = (run.clone(), before[0]);
        return Err(LedgerError::Newer { run, found, known: FORM_SENT_AS });
    }
    match postcard::take_from_bytes(&before[head..]) {
        Ok((value, [])) => Ok(value),
        Ok(_) => Err(bad("something stands behind its end".to_owned())),
        Err(error) => Err(bad(format!("it makes no sense: {error}"))),
    }
}

fn corrupt(run: &RunId, what: String, why: String) -> LedgerError {
    LedgerError::Corrupt { run: run.clone(), what, why }
}

/// What a record that cannot be read still tells.
pub(crate) fn hints(stored: &[u8]) -> (Option<State>, Option<u16>, Option<Timestamp>) {
    match Head::read(stored) {
        Some(Head { state, lane, due_at }) => (Some(state), Some(lane), Some(due_at)),
        None => earlier::hints(stored),
    }
}

#[cfg(test)]
mod tests;

//! A stored delivery as people and reports see it, whichever engine holds it.

use domain::{DeliveryId, State};

use crate::api::{DeliveryView, Envelope, Filter, RunHeader};
use crate::error::{LedgerError, Result};
use crate::record::Record;
use crate::stored;

/// A stored delivery as people and reports see it.
pub fn view(
    header: &RunHeader,
    index: u32,
    record: Record,
    message: Option<Envelope>,
) -> DeliveryView {
    let lane = header.lanes.get(usize::from(record.lane)).or(header.lanes.first());
    DeliveryView {
        id: DeliveryId { run: header.id.clone(), index },
        lane: lane.expect("a header without lanes is not read").clone(),
        state: record.state,
        due_at: record.due_at,
        next_at: record.next_at,
        expires_at: record.expires_at,
        facts: record.facts,
        message,
        strikes: record.strikes,
        damage: record.damage,
        notes: record.notes,
    }
}

/// The same of what stands in the store. What cannot be read is shown as damaged; it is
/// changed by those that write.
///
/// # Errors
/// [`LedgerError::Newer`] only.
pub fn view_stored(
    header: &RunHeader,
    index: u32,
    record: &[u8],
    message: &[u8],
) -> Result<DeliveryView> {
    let id = &header.id;
    let mut record = match stored::read_record(header, index, record) {
        Err(LedgerError::Corrupt { why, .. }) => {
            stored::in_place_of(record, None, &format!("record: {why}"), header)
        }
        read => read?,
    };
    let message = match stored::read_message(id, "message", message) {
        Err(LedgerError::Corrupt { why, .. }) => {
            record.damage.get_or_insert(format!("message: {why}"));
            None
        }
        read => Some(read?),
    };
    Ok(view(header, index, record, message))
}

/// The ends that a person may want to look at; there are few of them, and each has an index.
pub const fn needs_attention(state: State) -> bool {
    use State::{Cancelled, Expired, Failed, Quarantined, Suppressed, Unknown};
    matches!(state, Failed | Unknown | Suppressed | Expired | Cancelled | Quarantined)
}

impl Filter {
    pub fn admits(&self, view: &DeliveryView) -> bool {
        (self.states.is_empty() || self.states.contains(&view.state))
            && self.lane.as_ref().is_none_or(|lane| *lane == view.lane)
    }
}

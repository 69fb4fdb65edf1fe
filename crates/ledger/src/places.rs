//! How far each host's journal and inbox are in the ledger, kept in the ledger itself. A host
//! notes the same on its own disk; where the ledger's note is behind, the ledger was put back
//! to an earlier state or emptied, and what lies between is given to it once more.

use std::collections::BTreeMap;

use crate::api::Ledger;
use crate::cell;
use crate::error::Result;

const CELL: &str = "places";

/// By what is read: segment and byte of the first record that is not in the ledger.
type Places = BTreeMap<String, (u64, u64)>;

/// How far `name` is, as the ledger knows it; `None` when it has never heard of it.
///
/// # Errors
/// When the ledger does not answer.
pub async fn read(ledger: &dyn Ledger, name: &str) -> Result<Option<(u64, u64)>> {
    Ok(cell::read::<Places>(ledger, CELL).await?.get(name).copied())
}

/// Everything that it has ever heard of.
///
/// # Errors
/// When the ledger does not answer.
pub async fn names(ledger: &dyn Ledger) -> Result<Vec<String>> {
    Ok(cell::read::<Places>(ledger, CELL).await?.into_keys().collect())
}

/// Notes that everything before `place` is in the ledger.
///
/// # Errors
/// When the ledger does not answer.
pub async fn write(ledger: &dyn Ledger, name: &str, place: (u64, u64)) -> Result<()> {
    let note = |places: &mut Places| {
        places.insert(name.to_owned(), place);
    };
    cell::update(ledger, CELL, note).await
}

/// Lets a reader that is new begin where `like` is, by the ledger; whoever is known stays.
///
/// # Errors
/// When the ledger does not answer.
pub async fn begin_like(ledger: &dyn Ledger, name: &str, like: &str) -> Result<()> {
    let begin = |places: &mut Places| {
        if let (None, Some(place)) = (places.get(name), places.get(like).copied()) {
            places.insert(name.to_owned(), place);
        }
    };
    cell::update(ledger, CELL, begin).await
}

/// Notes that everything before `here` is in the ledger, if it still has everything before
/// `least`; else changes nothing and returns how far it is.
///
/// # Errors
/// When the ledger does not answer.
pub async fn advance(
    ledger: &dyn Ledger,
    name: &str,
    least: (u64, u64),
    here: (u64, u64),
) -> Result<Option<(u64, u64)>> {
    let advance = |places: &mut Places| {
        let held = places.get(name).copied().unwrap_or_default();
        if held < least {
            return Some(held);
        }
        places.insert(name.to_owned(), here);
        None
    };
    cell::update(ledger, CELL, advance).await
}

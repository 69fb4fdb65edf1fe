//! Small named texts beside the deliveries: which process has which lane, which hosts
//! there are. Each is one JSON value, changed by compare-and-swap, so two processes that
//! change it at once both see each other's change.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::api::Ledger;
use crate::error::Result;

/// Changes a cell; `change` is called again when someone else was faster. A cell that
/// cannot be read any more starts anew: nothing in one is worth stopping a morning for.
///
/// # Errors
/// When the ledger does not answer.
pub async fn update<T, R>(
    ledger: &dyn Ledger,
    name: &str,
    mut change: impl FnMut(&mut T) -> R,
) -> Result<R>
where
    T: Default + Serialize + DeserializeOwned,
{
    loop {
        let held = ledger.read_cell(name).await?;
        let mut value: T = parse(held.as_deref());
        let answer = change(&mut value);
        let new = serde_json::to_string(&value).expect("cells are plain data");
        if held.as_deref() == Some(&new) || ledger.swap_cell(name, held.as_deref(), &new).await? {
            return Ok(answer);
        }
    }
}

/// Reads a cell; its default when there is none.
///
/// # Errors
/// When the ledger does not answer.
pub async fn read<T: Default + DeserializeOwned>(ledger: &dyn Ledger, name: &str) -> Result<T> {
    Ok(parse(ledger.read_cell(name).await?.as_deref()))
}

fn parse<T: Default + DeserializeOwned>(text: Option<&str>) -> T {
    text.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
}

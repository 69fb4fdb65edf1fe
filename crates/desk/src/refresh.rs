//! Brings this host's copies to the version that the records have.

use domain::TenantId;
use records::imports::{self, Import};
use records::{Records, RecordsError};

use crate::draft::Draft;
use crate::error::Result;
use crate::sets::{Copies, Set, note, noted};

/// Rows read at once.
const PAGE: u32 = 10_000;

/// How a copy stands to the records.
pub(crate) enum Seen {
    Current(Import),
    Behind(Import),
    /// The records have never had the set, and this host has a copy.
    OnlyHere,
    Nowhere,
}

pub(crate) async fn present(
    records: &Records,
    tenant: &TenantId,
    copies: &Copies,
    set: &Set,
) -> Result<Seen> {
    copies.take_over(set)?;
    let copy = copies.path(set);
    let head = imports::head(records, tenant, &set.name()).await?;
    Ok(match head {
        Some(head) => match noted(&copy) {
            Some(note) if note.id == head.id.as_str() && note.version == head.version => {
                Seen::Current(head)
            }
            _ => Seen::Behind(head),
        },
        None if copy.exists() => Seen::OnlyHere,
        None => Seen::Nowhere,
    })
}

/// Makes the copy of a version. What stood in its place is of an older version or was changed by
/// somebody else; the records have the rows that count.
pub(crate) async fn fetch(
    records: &Records,
    tenant: &TenantId,
    copies: &Copies,
    set: &Set,
    import: &Import,
) -> Result<()> {
    let (copy, name) = (copies.path(set), set.name());
    let mut new = Draft::new(&copy)?;
    let mut after: Option<String> = None;
    loop {
        let version = import.version;
        let page = imports::page(records, tenant, &name, version, after.as_deref(), PAGE).await?;
        page.iter().for_each(|(_, body)| new.add_line(body));
        match page.into_iter().last() {
            Some((key, _)) => after = Some(key),
            None => break,
        }
    }
    // Rows of a version that two imports have replaced meanwhile are gone.
    if i64::try_from(new.rows) != Ok(import.rows.total) {
        return Err(RecordsError::Overtaken.into());
    }
    new.persist()?;
    note(&copy, import)
}

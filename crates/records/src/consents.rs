//! What people agreed to, and took back: only ever added to. What holds for somebody is what they
//! said last.

use domain::campaign::Category;
use domain::{TenantId, Timestamp};
use rand::Rng;

use crate::error::{RecordsError, Result};
use crate::id::Id;
use crate::people::PersonId;
use crate::pool::{Records, Row, Tx, Value};
use crate::tenants::{at, millis};

/// What somebody said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    Given,
    Withdrawn,
}

impl Wish {
    pub const fn as_str(self) -> &'static str {
        match self {
            Wish::Given => "given",
            Wish::Withdrawn => "withdrawn",
        }
    }

    fn read(text: &str) -> Result<Self> {
        [Wish::Given, Wish::Withdrawn].into_iter().find(|wish| wish.as_str() == text).ok_or_else(
            || RecordsError::Corrupt {
                what: "a consent",
                why: "it is neither given nor withdrawn".to_owned(),
            },
        )
    }
}

/// One saying about one category.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Saying {
    pub person: PersonId,
    pub category: Category,
    pub wish: Wish,
    pub said_at: Timestamp,
    /// How it came: `form`, `reply`, `preference`, `import`, `call` …
    pub source: String,
    /// What shows it: a form's id, a message id, a file and line. With the source it names one
    /// saying, which told again is the same one.
    pub proof: String,
    /// Who recorded it.
    pub actor: String,
}

/// One that is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Consent {
    pub id: Id,
    pub recorded_at: Timestamp,
    pub saying: Saying,
}

/// Adds sayings; returns how many are new.
///
/// # Errors
/// When the database does not answer.
pub async fn add(
    tx: &mut Tx,
    tenant: &TenantId,
    sayings: &[Saying],
    now: Timestamp,
    rng: &mut impl Rng,
) -> Result<u64> {
    let mut rows: Vec<Value> = Vec::with_capacity(sayings.len() * 10);
    for saying in sayings {
        let row: [Value; 10] = [
            tenant.as_str().into(),
            Id::new(now, rng).as_str().into(),
            saying.person.as_str().into(),
            saying.category.as_str().into(),
            saying.wish.as_str().into(),
            millis(saying.said_at).into(),
            millis(now).into(),
            saying.source.as_str().into(),
            saying.proof.as_str().into(),
            saying.actor.as_str().into(),
        ];
        rows.extend(row);
    }
    let into = "consents (tenant, id, person_id, category, wish, said_at, recorded_at, source, proof, actor)";
    tx.insert_new("add consents", into, 10, rows).await
}

/// Everything that a person said, the oldest first.
///
/// # Errors
/// When the database does not answer.
pub async fn history(
    records: &Records,
    tenant: &TenantId,
    person: &PersonId,
) -> Result<Vec<Consent>> {
    let sql = "SELECT id, person_id, category, wish, said_at, recorded_at, source, proof, actor FROM consents \
        WHERE tenant = $1 AND person_id = $2 ORDER BY said_at, recorded_at, id";
    let values: Vec<Value> = vec![tenant.as_str().into(), person.as_str().into()];
    let rows = records.fetch("read a person's consents", sql, values).await?;
    rows.iter().map(read).collect()
}

/// Those recorded after one that was seen, the oldest first, at most `limit`.
///
/// # Errors
/// When the database does not answer.
pub async fn list(
    records: &Records,
    tenant: &TenantId,
    after: Option<&Id>,
    limit: u32,
) -> Result<Vec<Consent>> {
    let sql = "SELECT id, person_id, category, wish, said_at, recorded_at, source, proof, actor FROM consents \
        WHERE tenant = $1 AND id > $2 ORDER BY id LIMIT $3";
    let after = after.map_or("", Id::as_str);
    let values: Vec<Value> = vec![tenant.as_str().into(), after.into(), i64::from(limit).into()];
    let rows = records.fetch("list consents", sql, values).await?;
    rows.iter().map(read).collect()
}

/// What holds now for a person and a category: what was said last; of two sayings of one instant a
/// withdrawal counts. `None`: nothing was ever said.
///
/// # Errors
/// When the database does not answer.
pub async fn latest(
    records: &Records,
    tenant: &TenantId,
    person: &PersonId,
    category: Category,
) -> Result<Option<Consent>> {
    let sql = "SELECT id, person_id, category, wish, said_at, recorded_at, source, proof, actor FROM consents \
        WHERE tenant = $1 AND person_id = $2 AND category = $3 \
        ORDER BY said_at DESC, wish DESC, id DESC LIMIT 1";
    let values: Vec<Value> =
        vec![tenant.as_str().into(), person.as_str().into(), category.as_str().into()];
    let rows = records.fetch("read a consent", sql, values).await?;
    rows.first().map(read).transpose()
}

fn read(row: &Row) -> Result<Consent> {
    let category = row.text(2)?;
    let category = Category::ALL.into_iter().find(|known| known.as_str() == category);
    let no_category =
        || RecordsError::Corrupt { what: "a consent", why: "its category is unknown".to_owned() };
    let saying = Saying {
        person: PersonId::known(row.text(1)?),
        category: category.ok_or_else(no_category)?,
        wish: Wish::read(&row.text(3)?)?,
        said_at: at(row.int(4)?),
        source: row.text(6)?,
        proof: row.text(7)?,
        actor: row.text(8)?,
    };
    Ok(Consent { id: Id::known(row.text(0)?), recorded_at: at(row.int(5)?), saying })
}

//! The recipient list.

use std::collections::{BTreeMap, HashMap};
use std::hash::BuildHasher;

use domain::{Address, Recipient, RecipientId, UserId};
use foldhash::fast::RandomState;
use unicode_normalization::UnicodeNormalization;

use super::header::{Column, Header, Schema, column};
use super::persons::{Denied, Persons, Said, Twice};
use super::table::{self, Reading, Row};
use super::{Findings, IntakeError, Kind, Rules, date, language, phone};
use domain::consent::{self, Consent};
use templates::lint::Severity;

/// Our columns, and what other programs call them.
const COLUMNS: &[Column] = &[
    column(
        "id",
        &[
            "client_id",
            "customer_id",
            "user_id",
            "recipient_id",
            "contact_id",
            "adviser_id",
            "advisor_id",
            "arn",
            "arn_code",
            "arn_no",
            "arn_number",
        ],
    ),
    column("name", &["full_name", "contact_name", "client_name", "customer_name", "display_name"]),
    column(
        "phone",
        &[
            "mobile",
            "mobile_no",
            "mobile_number",
            "mobile_phone",
            "phone_no",
            "phone_number",
            "phone_1_value",
            "phone1",
            "number",
            "contact_no",
            "contact_number",
            "whatsapp",
            "whatsapp_no",
            "whatsapp_number",
            "cell",
            "cell_phone",
            "msisdn",
            "telephone",
            "tel",
            "मोबाइल",
        ],
    ),
    column(
        "country_code",
        &[
            "cc",
            "calling_code",
            "country_calling_code",
            "dial_code",
            "dialing_code",
            "dialling_code",
            "isd",
            "isd_code",
            "phone_country_code",
        ],
    ),
    column("bsuid", &["business_scoped_user_id"]),
    column("tier", &["plan", "segment"]),
    column("language", &["lang", "language_code", "locale", "preferred_language", "भाषा"]),
    column("consent_utility", &[]),
    column("consent_marketing", &[]),
    column(
        "opted_in_at",
        &["opt_in_at", "opt_in_date", "opted_in_date", "opted_in_on", "consent_date"],
    ),
];

const SCHEMA: Schema = Schema {
    columns: COLUMNS,
    required: &[&["id"], &["phone", "bsuid"], &["consent_utility", "consent_marketing"]],
};
const ID_BYTES_MAX: usize = 128;
const NAME_CHARS_MAX: usize = 200;
/// Rows that are looked at to say which column is meant.
const SAMPLE: usize = 50;
const CONSENTS: [&str; 2] = ["consent_utility", "consent_marketing"];

/// What was read beside the rows themselves.
pub struct ReadList {
    pub findings: Findings,
    pub persons: Persons,
    pub accepted: usize,
}

/// Reads a list; `take` is given each good row, so that a million of them need not be held.
///
/// # Errors
/// When the file has no usable header; bad rows are listed, not errors.
pub fn read_recipients(
    bytes: &[u8],
    rules: &Rules,
    take: &mut dyn FnMut(Recipient),
) -> Result<ReadList, IntakeError> {
    let start = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes).trim_ascii_start();
    if start.starts_with(b"{") || start.starts_with(b"[") {
        return Err(IntakeError::NotATable);
    }
    let mut read =
        ReadList { findings: Findings::default(), persons: Persons::default(), accepted: 0 };
    let mut alike = Alike::default();
    let reading =
        Reading { schema: &SCHEMA, sheet: rules.sheet.as_deref(), looks: &looks_like_a_row };
    let table = table::read(bytes, &reading, &mut |row| match read.row(row, rules) {
        Ok(recipient) => {
            alike.note(&recipient, row.line, &mut read.findings);
            read.accepted += 1;
            take(recipient);
        }
        Err((kind, reason)) => read.findings.refuse(row.line, row.get("id"), kind, reason),
    });
    let mut table = table.map_err(|error| with_hint(error, bytes, rules))?;
    let doubtful = |name: &&String| {
        let speaks =
            ["consent", "opt", "unsub", "dnd", "stop"].iter().any(|word| name.contains(word));
        speaks && !COLUMNS.iter().any(|column| column.name == name.as_str())
    };
    for name in table.header.names.iter().filter(doubtful) {
        table.notes.say(format!("column {name:?} may speak of consent and is not read as such: only consent_utility and consent_marketing are"));
    }
    read.findings.lines = table.lines;
    read.findings.notes = table.notes;
    read.findings.finish(read.accepted);
    Ok(read)
}

impl ReadList {
    /// Reads one row; what a refused one says about consent is kept.
    fn row(&mut self, row: &Row<'_>, rules: &Rules) -> Result<Recipient, (Kind, String)> {
        let address = address(row, rules);
        let refuse = |persons: &mut Persons, kind, reason: String| {
            let known = address.as_ref().ok();
            persons.deny(row.get("id"), known, said(row));
            if let (Kind::Bad, Some(known)) = (kind, known) {
                persons.want(known);
            }
            Err((kind, reason))
        };
        if let Some(damage) = &row.damage {
            return refuse(&mut self.persons, Kind::Bad, damage.clone());
        }
        let recipient = match read_row(row, address.clone(), rules, &mut self.findings) {
            Ok(recipient) => recipient,
            Err(reason) => return refuse(&mut self.persons, Kind::Bad, reason),
        };
        match self.persons.enter(&recipient, row.line) {
            Ok(()) => Ok(recipient),
            Err(Twice::Id { first }) => {
                self.persons.deny_first(first, said(row));
                let reason = format!("same id as line {first}; the first one counts");
                refuse(&mut self.persons, Kind::Duplicate, reason)
            }
            Err(Twice::Address { first }) => {
                self.persons.deny_first(first, said(row));
                let reason = format!("same phone or bsuid as line {first}; the first one counts");
                refuse(&mut self.persons, Kind::Duplicate, reason)
            }
        }
    }
}

fn read_row(
    row: &Row<'_>,
    address: Result<Address, String>,
    rules: &Rules,
    findings: &mut Findings,
) -> Result<Recipient, String> {
    let id = read_id(row)?;
    let address = address?;
    let name: String = row.get("name").unwrap_or("").nfc().collect();
    if name.chars().count() > NAME_CHARS_MAX {
        return Err(format!("name is longer than {NAME_CHARS_MAX} characters"));
    }
    let consent = |column: &str| match consent::read(row.get(column).unwrap_or("")) {
        Consent::Yes => Ok(true),
        Consent::No | Consent::OptOut => Ok(false),
        Consent::Unreadable => Err(format!("{column} is neither yes nor no")),
    };
    let (utility, marketing) = (consent("consent_utility")?, consent("consent_marketing")?);
    let denied = said(row).denied;
    let opted_in_at = row.get("opted_in_at").map(|text| {
        date::past_instant(text, rules.zone, rules.now).map_err(|e| format!("opted_in_at: {e}"))
    });
    let language = language::normalise(row.get("language").unwrap_or(""))?;
    let opted_in_at = opted_in_at.transpose()?;
    let mut attributes: BTreeMap<String, String> = BTreeMap::new();
    for (column, text) in row.fields() {
        if !column.is_empty() && !COLUMNS.iter().any(|known| known.name == column) {
            attributes.insert(column.to_owned(), text.nfc().collect());
        }
    }
    let name = usable_name(name, &mut attributes, row.line, rules, findings);
    Ok(Recipient {
        id,
        name,
        address,
        tier: row.get("tier").unwrap_or("").to_lowercase().into(),
        language: language.into(),
        consent_utility: utility && !denied.utility,
        consent_marketing: marketing && !denied.marketing,
        opted_in_at,
        attributes,
    })
}

fn read_id(row: &Row<'_>) -> Result<RecipientId, String> {
    let id = row.get("id").ok_or("id is empty")?;
    if id.len() > ID_BYTES_MAX || id == "*" {
        return Err(format!("id is not usable: expected 1 to {ID_BYTES_MAX} bytes, and not *"));
    }
    if id.chars().any(|c| c.is_control() || domain::text::is_unseen(c)) {
        return Err("id holds signs that nobody sees".to_owned());
    }
    Ok(RecipientId::new(id.nfc().collect::<String>()))
}

fn address(row: &Row<'_>, rules: &Rules) -> Result<Address, String> {
    let parse = |text| phone::parse(text, row.get("country_code"), rules.default_country);
    let phone = row.get("phone").map(parse).transpose().map_err(|e| e.to_string())?;
    let user_id = row.get("bsuid").map(UserId::try_new).transpose().map_err(|e| e.to_string())?;
    Address::new(phone, user_id).ok_or_else(|| "phone and bsuid are both empty".to_owned())
}

/// A name that nobody would want to be called is left out, and said.
fn usable_name(
    name: String,
    attributes: &mut BTreeMap<String, String>,
    line: u64,
    rules: &Rules,
    findings: &mut Findings,
) -> String {
    if let Some(first) = attributes.get("first_name")
        && let Some(found) = rules.lint.name(first).filter(|f| f.severity == Severity::Error)
    {
        findings.warn(line, found.rule, format!("first_name is left out: it {}", found.text));
        attributes.remove("first_name");
    }
    let name = if name.is_empty() { joined(attributes) } else { name };
    match rules.lint.name(&name) {
        Some(found) if found.severity == Severity::Error => {
            findings.warn(line, found.rule, format!("the name is left out: {}", found.text));
            return String::new();
        }
        Some(found) => findings.warn(line, found.rule, found.text),
        None => {}
    }
    let first = super::names::first_name(&name);
    if rules.lint.is_on("name-has-title") && first != name.split_whitespace().next() {
        let text = match first {
            Some(_) => {
                "the name begins with a title, an initial or a surname: the first name is taken from behind"
            }
            None if name.is_empty() => return name,
            None => "the name holds no first name",
        };
        findings.warn(line, "name-has-title", text);
    }
    name
}

/// Lists of contacts have a column for each part of a name.
fn joined(attributes: &BTreeMap<String, String>) -> String {
    let parts = ["first_name", "middle_name", "last_name"].map(|part| attributes.get(part));
    parts.into_iter().flatten().map(String::as_str).collect::<Vec<_>>().join(" ")
}

/// What a row says against being written to. In a row whose cells may have moved, the cells
/// that read as consent are taken in their order; when one is missing nobody said yes, and
/// when there are more any *no* counts for all.
fn said(row: &Row<'_>) -> Said {
    let columns: Vec<&str> =
        CONSENTS.into_iter().filter(|name| row.header.position(name).is_some()).collect();
    let in_place = row.damage.is_none() || row.damage.as_deref() == Some(super::text::WHY_DAMAGED);
    let cells: Vec<Option<Consent>> = if in_place {
        columns.iter().map(|name| row.get(name).map(consent::read)).collect()
    } else {
        let meant = |text: &&str| !matches!(*text, "" | "0" | "1" | "-");
        let read = row.cells().filter(meant).map(consent::read);
        read.filter(|consent| *consent != Consent::Unreadable).map(Some).collect()
    };
    let says = |wanted: Consent| cells.contains(&Some(wanted));
    if says(Consent::OptOut) || (cells.len() > columns.len() && says(Consent::No)) {
        return Said { denied: Denied::ALL, told: Denied::ALL };
    }
    if cells.len() < columns.len() {
        let told = if says(Consent::No) { Denied::ALL } else { Denied::default() };
        return Said { denied: Denied::ALL, told };
    }
    let cell = |wanted: &str| {
        let at = columns.iter().position(|name| *name == wanted)?;
        Some(cells[at].unwrap_or(Consent::Unreadable))
    };
    let of = |fits: fn(Consent) -> bool| Denied {
        utility: cell("consent_utility").is_some_and(fits),
        marketing: cell("consent_marketing").is_some_and(fits),
    };
    Said { denied: of(|consent| consent != Consent::Yes), told: of(|c| c == Consent::No) }
}

/// A line inside a quoted cell that is a recipient of its own: an id without blanks, and a
/// number or a word of consent where the header has one.
fn looks_like_a_row(header: &Header, cells: &[&str]) -> bool {
    let cell = |name: &str| header.position(name).and_then(|at| cells.get(at)).copied();
    let id = cell("id").is_some_and(|id| !id.is_empty() && !id.contains(char::is_whitespace));
    let digits = |text: &str| text.chars().filter(char::is_ascii_digit).count() >= 5;
    let number = cell("phone").is_some_and(digits) || cell("bsuid").is_some_and(digits);
    let consent = CONSENTS
        .into_iter()
        .filter_map(cell)
        .any(|text| !text.is_empty() && consent::read(text) != Consent::Unreadable);
    id && (number || consent)
}

/// Ids that a person would take for one.
#[derive(Default)]
struct Alike {
    hasher: RandomState,
    seen: HashMap<u64, u32, RandomState>,
}

impl Alike {
    fn note(&mut self, recipient: &Recipient, line: u64, findings: &mut Findings) {
        let key = self.hasher.hash_one(plain_id(recipient.id.as_str()));
        let line32 = u32::try_from(line).unwrap_or(u32::MAX);
        if let Some(first) = self.seen.insert(key, line32) {
            let text = format!(
                "the id differs from that of line {first} only by case, zeros or unseen signs"
            );
            findings.warn(line, "id-alike", text);
        }
    }
}

/// The id as a careless program writes it.
pub fn plain_id(id: &str) -> String {
    let seen: String =
        id.chars().filter(|c| !domain::text::is_unseen(*c) && !c.is_whitespace()).collect();
    let lower = seen.to_lowercase();
    let plain = lower.strip_suffix(".0").unwrap_or(&lower).trim_start_matches(['0', '\'']);
    if plain.is_empty() { lower } else { plain.to_owned() }
}

/// Names the column that is probably meant, from what stands in it.
fn with_hint(error: IntakeError, bytes: &[u8], rules: &Rules) -> IntakeError {
    let IntakeError::MissingColumn { wanted, found, .. } = error else { return error };
    const ANY: Schema = Schema { columns: COLUMNS, required: &[] };
    let reading = Reading { schema: &ANY, sheet: rules.sheet.as_deref(), looks: &|_, _| false };
    let mut sample: Vec<Vec<String>> = Vec::new();
    let table = table::read(bytes, &reading, &mut |row| {
        if sample.len() < SAMPLE && row.damage.is_none() {
            sample.push(row.cells().map(str::to_owned).collect());
        }
    });
    let names = table.map(|table| table.header.names).unwrap_or_default();
    let meant = names.iter().enumerate().filter(|(at, name)| {
        let cells: Vec<&str> = sample
            .iter()
            .filter_map(|row| row.get(*at))
            .map(String::as_str)
            .filter(|c| !c.is_empty())
            .collect();
        let fits = |cell: &&&str| {
            if wanted.contains("phone") {
                phone::parse(cell, None, Some(phone::Country::INDIA)).is_ok()
            } else if wanted.contains("consent") {
                consent::read(cell) != Consent::Unreadable
            } else {
                !name.is_empty() && (name.ends_with("id") || name.ends_with("code"))
            }
        };
        !cells.is_empty() && cells.iter().filter(fits).count() * 10 >= cells.len() * 8
    });
    let meant: Vec<&str> = meant.map(|(_, name)| name.as_str()).collect();
    let hint = match meant.as_slice() {
        [] => String::new(),
        meant => format!("; rename {} to {wanted}", meant.join(" or ")),
    };
    IntakeError::MissingColumn { wanted, found, hint }
}

#[cfg(test)]
mod tests;

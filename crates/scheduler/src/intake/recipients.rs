//! The recipient list.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, NaiveDate, NaiveTime};
use chrono_tz::Tz;
use domain::{Address, Recipient, RecipientId, Timestamp, UserId};
use unicode_normalization::UnicodeNormalization;

use super::table::{self, Row};
use super::{Intake, IntakeError, Refused, phone};

const KNOWN: &[&str] = &[
    "id",
    "name",
    "phone",
    "bsuid",
    "tier",
    "language",
    "consent_utility",
    "consent_marketing",
    "opted_in_at",
];
const ID_BYTES_MAX: usize = 128;
const NAME_CHARS_MAX: usize = 200;

/// Reads a recipient list; dates without a time are midnight in `zone`.
///
/// # Errors
/// When the file has no usable header; bad rows are listed, not errors.
pub fn read_recipients(bytes: &[u8], zone: Tz) -> Result<Intake<Recipient>, IntakeError> {
    let table = table::read(bytes)?;
    need(&table.columns, &["id"])?;
    need(&table.columns, &["phone", "bsuid"])?;
    need(&table.columns, &["consent_utility", "consent_marketing"])?;
    let mut intake = Intake { rows: Vec::new(), refused: table.refused };
    let mut seen = Seen::default();
    for row in &table.rows {
        let read = read_row(row, zone).and_then(|recipient| {
            seen.check(&recipient, row.line)?;
            Ok(recipient)
        });
        match read {
            Ok(recipient) => intake.rows.push(recipient),
            Err(reason) => {
                let id = row.get("id").map(str::to_owned);
                intake.refused.push(Refused { line: row.line, id, reason });
            }
        }
    }
    intake.refused.sort_by_key(|refused| refused.line);
    Ok(intake)
}

/// One of these columns must be there.
pub(super) fn need(columns: &[String], any: &[&str]) -> Result<(), IntakeError> {
    if any.iter().any(|wanted| columns.iter().any(|column| column == wanted)) {
        return Ok(());
    }
    Err(IntakeError::MissingColumn { wanted: any.join(" or "), found: columns.join(", ") })
}

/// Who was read before, and on which line: a second row would be a second message.
#[derive(Default)]
struct Seen {
    ids: HashMap<String, u64>,
    addresses: HashMap<String, u64>,
}

impl Seen {
    fn check(&mut self, recipient: &Recipient, line: u64) -> Result<(), String> {
        if let Some(first) = self.ids.get(recipient.id.as_str()) {
            return Err(format!("same id as line {first}; the first one counts"));
        }
        let phone = recipient.address.phone().map(|phone| phone.reveal().to_owned());
        let user_id = recipient.address.user_id().map(|id| id.reveal().to_owned());
        let addresses: Vec<String> = phone.into_iter().chain(user_id).collect();
        if let Some(first) = addresses.iter().find_map(|address| self.addresses.get(address)) {
            return Err(format!("same phone or bsuid as line {first}; the first one counts"));
        }
        self.ids.insert(recipient.id.as_str().to_owned(), line);
        self.addresses.extend(addresses.into_iter().map(|address| (address, line)));
        Ok(())
    }
}

fn read_row(row: &Row, zone: Tz) -> Result<Recipient, String> {
    let id = row.get("id").ok_or("id is empty")?;
    if id.len() > ID_BYTES_MAX || id == "*" {
        return Err(format!("id is not usable: expected 1 to {ID_BYTES_MAX} bytes, and not *"));
    }
    let phone = row.get("phone").map(phone::parse).transpose().map_err(|e| e.to_string())?;
    let user_id = row.get("bsuid").map(UserId::try_new).transpose().map_err(|e| e.to_string())?;
    let address = Address::new(phone, user_id).ok_or("phone and bsuid are both empty")?;
    let name: String = row.get("name").unwrap_or("").nfc().collect();
    if name.chars().count() > NAME_CHARS_MAX {
        return Err(format!("name is longer than {NAME_CHARS_MAX} characters"));
    }
    let extra = row.fields().filter(|(column, _)| !column.is_empty() && !KNOWN.contains(column));
    let attributes: BTreeMap<String, String> =
        extra.map(|(column, text)| (column.to_owned(), text.nfc().collect())).collect();
    Ok(Recipient {
        id: RecipientId::new(id),
        name,
        address,
        tier: row.get("tier").unwrap_or("").to_lowercase(),
        language: language(row.get("language"))?,
        consent_utility: yes(row, "consent_utility")?,
        consent_marketing: yes(row, "consent_marketing")?,
        opted_in_at: row.get("opted_in_at").map(|text| instant(text, zone)).transpose()?,
        attributes,
    })
}

/// `hi`, `en_US`; `en-us` is mended.
fn language(text: Option<&str>) -> Result<String, String> {
    let Some(text) = text else { return Ok(String::new()) };
    let mended = match text.replace('-', "_").split_once('_') {
        Some((language, region)) => {
            format!("{}_{}", language.to_lowercase(), region.to_uppercase())
        }
        None => text.to_lowercase(),
    };
    let good = (2..=8).contains(&mended.len())
        && mended.chars().all(|c| c.is_ascii_alphabetic() || c == '_');
    if good { Ok(mended) } else { Err("language is not a code such as en, hi or en_US".to_owned()) }
}

fn yes(row: &Row, column: &str) -> Result<bool, String> {
    match row.get(column).unwrap_or("").to_lowercase().as_str() {
        "yes" | "y" | "true" | "1" | "हाँ" | "हां" => Ok(true),
        "" | "no" | "n" | "false" | "0" | "नहीं" => Ok(false),
        _ => Err(format!("{column} is neither yes nor no")),
    }
}

/// RFC 3339, `2026-01-31`, `2026-01-31 10:00`, `31/01/2026` or `31-01-2026`.
pub(super) fn instant(text: &str, zone: Tz) -> Result<Timestamp, String> {
    if let Ok(at) = DateTime::parse_from_rfc3339(text) {
        return Ok(at.into());
    }
    let (date, time) = text.split_once([' ', 'T']).unwrap_or((text, "00:00"));
    let date = ["%Y-%m-%d", "%d/%m/%Y", "%d-%m-%Y"]
        .iter()
        .find_map(|form| NaiveDate::parse_from_str(date, form).ok());
    let time = ["%H:%M:%S", "%H:%M"]
        .iter()
        .find_map(|form| NaiveTime::parse_from_str(time.trim_end_matches('Z'), form).ok());
    match (date, time) {
        (Some(date), Some(time)) => date
            .and_time(time)
            .and_local_timezone(zone)
            .earliest()
            .map(Timestamp::from)
            .ok_or_else(|| "the time does not exist in the campaign's zone".to_owned()),
        _ => Err("a date is not readable: expected 2026-01-31 or 2026-01-31T10:00:00+05:30".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono_tz::Asia::Kolkata;

    const HEADER: &str =
        "id,name,phone,bsuid,tier,language,consent_utility,consent_marketing,opted_in_at,firm";

    fn read(text: impl AsRef<[u8]>) -> Intake<Recipient> {
        read_recipients(text.as_ref(), Kolkata).unwrap()
    }

    #[test]
    fn a_spreadsheets_clothes_do_not_change_the_list() {
        let plain = format!(
            "{HEADER}\na1,\"Rao, Asha\",9876543210,,Pro,hi,yes,no,2026-01-31,Rao & Co\n\
             a2,Vikram,,IN.1349,,,TRUE,1,,\n"
        );
        let utf16: Vec<u8> = [0xff, 0xfe]
            .into_iter()
            .chain(plain.encode_utf16().flat_map(u16::to_le_bytes))
            .collect();
        let semicolons = plain
            .replace("\"Rao, Asha\"", "Rao; Asha")
            .replace(',', "\t")
            .replace("Rao; Asha", "Rao, Asha");
        let clothes: Vec<(&str, Vec<u8>)> = vec![
            ("plain", plain.clone().into_bytes()),
            ("BOM", format!("\u{feff}{plain}").into_bytes()),
            ("CRLF", plain.replace('\n', "\r\n").into_bytes()),
            ("UTF-16", utf16),
            ("tabs", semicolons.into_bytes()),
            ("header in capitals", plain.replacen("opted_in_at", "Opted In At", 1).into_bytes()),
            ("empty rows", plain.replace("a2,", "\n,,,,,,,,,\na2,").into_bytes()),
        ];
        let want = read(&plain).rows;
        assert_eq!(want[0].attributes["firm"], "Rao & Co");
        assert_eq!(want[0].opted_in_at.unwrap().to_string(), "2026-01-30T18:30:00.000Z");
        for (name, bytes) in clothes {
            let intake = read(&bytes);
            assert_eq!(intake.refused, [], "{name}");
            assert!(intake.rows == want, "{name}: {:?}", intake.rows);
        }
    }

    #[test]
    fn bad_rows_are_named_by_line_and_good_ones_stay() {
        let text = format!(
            "{HEADER}\n\
             a1,Asha,9876543210,,pro,hi,yes,no,,\n\
             a2,Bad,9.19877E+11,,pro,hi,yes,no,,\n\
             a1,Twice,9876543211,,pro,hi,yes,no,,\n\
             a4,SamePhone,+91 98765 43210,,pro,hi,yes,no,,\n\
             ,NoId,9876543212,,pro,hi,yes,no,,\n\
             a6,NoAddress,,,pro,hi,yes,no,,\n\
             a7,Maybe,9876543213,,pro,hi,perhaps,no,,\n\
             a8,TooMany,9876543214,,pro,hi,yes,no,,x,y,z\n\
             a9,Date,9876543215,,pro,hi,yes,no,31.01,\n\
             a10,Good,9876543216,,pro,en-us,yes,no,31/01/2026,\n"
        );
        let intake = read(&text);
        let ids: Vec<&str> = intake.rows.iter().map(|r| r.id.as_str()).collect();
        assert_eq!(ids, ["a1", "a10"]);
        assert_eq!(intake.rows[1].language, "en_US");
        let listed: Vec<String> = intake.refused.iter().map(ToString::to_string).collect();
        let wanted = [
            "line 3: phone was rounded",
            "line 4: same id as line 2",
            "line 5: same phone or bsuid as line 2",
            "line 6: id is empty",
            "line 7: phone and bsuid",
            "line 8: consent_utility is neither",
            "line 9: 12 fields in a row of 10",
            "line 10: a date is not readable",
        ];
        assert_eq!(listed.len(), wanted.len(), "{listed:#?}");
        for (got, want) in listed.iter().zip(wanted) {
            assert!(got.starts_with(want), "{got}");
            assert!(!got.contains("98765"), "a number in {got}");
        }
    }

    #[test]
    fn a_file_without_what_is_needed_says_what_it_has() {
        let error = |text: &str| {
            read_recipients(text.as_bytes(), Kolkata).map(drop).unwrap_err().to_string()
        };
        assert_eq!(error("id,name\n1,a\n"), "column phone or bsuid is missing; found: id, name");
        assert_eq!(
            error("id,phone\n"),
            "column consent_utility or consent_marketing is missing; found: id, phone"
        );
        assert_eq!(error(" \n"), "the file is empty");
        assert_eq!(error("id,phone,ID\n"), "column \"id\" is there twice");
    }
}

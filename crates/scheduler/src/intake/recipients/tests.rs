//! Lists as people send them.

use super::*;
use crate::intake::Refused;
use chrono_tz::Asia::Kolkata;

const HEADER: &str =
    "id,name,phone,bsuid,tier,language,consent_utility,consent_marketing,opted_in_at,firm";

struct Intake {
    rows: Vec<Recipient>,
    refused: Vec<Refused>,
}

fn rules() -> Rules {
    Rules::new(Kolkata, chrono::DateTime::from_timestamp(1_800_000_000, 0).unwrap().into())
}

fn read(text: impl AsRef<[u8]>) -> Intake {
    let mut rows = Vec::new();
    let read = read_recipients(text.as_ref(), &rules(), &mut |row| rows.push(row)).unwrap();
    assert!(read.findings.lines.add_up(), "{}", read.findings.lines);
    Intake { rows, refused: read.findings.refused }
}

#[test]
fn a_spreadsheets_clothes_do_not_change_the_list() {
    let plain = format!(
        "{HEADER}\na1,\"Rao, Asha\",9876543210,,Pro,hi,yes,no,2026-01-31,Rao & Co\n\
         a2,Vikram,,IN.1349,,,TRUE,1,,\n"
    );
    let utf16: Vec<u8> =
        [0xff, 0xfe].into_iter().chain(plain.encode_utf16().flat_map(u16::to_le_bytes)).collect();
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
        "line 10: opted_in_at: a date has a year of two digits",
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
        read_recipients(text.as_bytes(), &rules(), &mut drop).map(drop).unwrap_err().to_string()
    };
    assert_eq!(error("id,name\n1,a\n"), "column phone or bsuid is missing; found: id, name");
    assert_eq!(
        error("id,phone\n"),
        "column consent_utility or consent_marketing is missing; found: id, phone"
    );
    assert_eq!(error(" \n"), "the file is empty");
    assert!(error("id,phone,ID,consent_utility\n").starts_with("two columns are \"id\""));
    let renames = error("id,Contact,consent_utility\na1,9876500001,yes\n");
    assert!(renames.ends_with("; rename contact to phone or bsuid"), "{renames}");
    let headless = error("a1,Asha,9876500001,yes\na2,Usha,9876500002,yes\n");
    assert!(headless.starts_with("there is no header row") && !headless.contains("Asha"));
}

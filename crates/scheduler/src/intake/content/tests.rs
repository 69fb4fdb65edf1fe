//! Content as people send it, row by row.

use super::*;
use chrono_tz::Asia::Kolkata;

/// The rows that count, and what was found.
fn read(text: &str) -> (Vec<Content>, ReadContent) {
    let now = chrono::DateTime::from_timestamp(1_800_000_000, 0).unwrap().into();
    let template = crate::plan::tests::campaign().template;
    let rules = Rules::new(Kolkata, now);
    let mut rows: Vec<Content> = Vec::new();
    let mut each = |row| rows.push(row);
    let read = read_content(text.as_bytes(), &rules, &template, &mut |_| Ok(()), &mut each);
    let read = read.unwrap();
    assert!(read.findings.lines.add_up(), "{}", read.findings.lines);
    rows.retain(|row| read.is_good(row.recipient_id.as_str()));
    (rows, read)
}

#[test]
fn csv_and_ndjson_say_the_same() {
    let csv = "recipient_id,headline,media_link,button_1,approved_by,approved_at\n\
               a1,NIFTY up,https://x.in/a.jpg,packs/1,Meera,2026-11-20T18:00:00+05:30\n\
               *,Good morning,,,,\n";
    let ndjson = r#"{"recipient_id":"a1","params":{"headline":"NIFTY up"},"media":{"link":"https://x.in/a.jpg"},"buttons":{"1":"packs/1"},"approved_by":"Meera","approved_at":"2026-11-20T18:00:00+05:30"}
{"recipient_id":"*","params":{"headline":"Good morning"},"approved_by":null}
"#;
    let (from_csv, found) = read(csv);
    let (from_ndjson, _) = read(ndjson);
    assert!(from_csv == from_ndjson && from_csv.len() == 2);
    assert_eq!(found.findings.refused, []);
    let now = "2026-11-20T18:00:00+05:30";
    let now = chrono::DateTime::parse_from_rfc3339(now).unwrap().into();
    assert!(from_csv[0].is_approved(now));
    assert!(!from_csv[1].is_approved(now));
}

#[test]
fn positional_parameters_may_be_a_list() {
    let text = r#"{"recipient_id":"a","params":["Asha",6]}"#;
    let (rows, _) = read(text);
    let params: Vec<(&str, &str)> =
        rows[0].params.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    assert_eq!(params, [("1", "Asha"), ("2", "6")]);
}

#[test]
fn bad_lines_are_named_and_good_ones_stay() {
    let text = "{\"recipient_id\":\"a\"}\n{\"recipient_id\":\n\n{\"params\":{}}\n\
                {\"recipient_id\":\"a\"}\n{\"recipient_id\":\"b\",\"params\":{\"x\":[1]}}\n[]\n";
    let (rows, intake) = read(text);
    let good: Vec<&str> = rows.iter().map(|c| c.recipient_id.as_str()).collect();
    assert_eq!((good, intake.held.len(), intake.unattributed), (vec!["a"], 1, 3));
    let lines: Vec<u64> = intake.findings.refused.iter().map(|refused| refused.line).collect();
    assert_eq!(lines, [2, 4, 5, 6, 7]);
}

#[test]
fn whoever_a_refused_row_was_for_is_held_back() {
    let text = "{\"recipient_id\":\"*\",\"params\":{\"x\":\"all\"}}\n\
                {\"recipient_id\":\"a1\",\"params\":{\"x\":[\"new\"]}}\n\
                {\"recipient_id\":\"a2\",\"params\":{\"x\":\n\
                {\"recipient_id\":\"a3\",\"params\":{\"x\":\"one\"}}\n\
                {\"recipient_id\":\"a3\",\"params\":{\"x\":\"two\"}}\n\
                {\"recipient_id\":\"a4\",\"params\":{\"x\":\"{{name}}\"}}\n\
                {\"recipient_id\":\"a5\",\"params\":{\"x\":\"1\",\"x\":\"2\"}}\n";
    let (rows, intake) = read(text);
    let held: Vec<&str> = intake.held.keys().map(String::as_str).collect();
    assert_eq!(held, ["a1", "a2", "a3", "a4", "a5"]);
    assert!(rows.len() == 1 && intake.is_good(EVERYONE) && !intake.is_good("a3"));
    assert!(intake.names("a3") && !intake.names("a6"));
}

#[test]
fn objects_over_several_lines_are_refused_as_a_file() {
    let pretty = "{\n  \"recipient_id\": \"a1\",\n  \"params\": {\"headline\": \"x\"}\n}\n";
    let now = chrono::DateTime::from_timestamp(1_800_000_000, 0).unwrap().into();
    let template = crate::plan::tests::campaign().template;
    for text in [pretty, "[{\"recipient_id\":\"a1\"}]"] {
        let read = read_content(
            text.as_bytes(),
            &Rules::new(Kolkata, now),
            &template,
            &mut |_| Ok(()),
            &mut |_| {},
        );
        assert!(matches!(read, Err(IntakeError::PrettyJson)), "{text}");
    }
}

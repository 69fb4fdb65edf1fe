//! What reads bytes from outside, one function each: no input may panic, and what is read
//! must hold. Called by `fuzz/` under libFuzzer and by an ordinary test on the corpus.

use std::collections::BTreeSet;
use std::path::Path;

use domain::callback::{Callback, CallbackKey, Proof};
use domain::{Recipient, Timestamp, person};
use scheduler::intake::Rules;
use secrecy::SecretString;
use sender::journal::{Read, Replay};

/// A reader of bytes.
pub type Target = fn(&[u8]);

/// By name; `fuzz/corpus/<name>` holds its inputs.
pub const TARGETS: [(&str, Target); 9] = [
    ("webhook_body", webhook_body),
    ("signature", signature),
    ("callback", callback),
    ("recipients", recipients),
    ("content", content),
    ("config", config),
    ("graph_answer", graph_answer),
    ("journal", journal),
    ("segment", segment),
];

const ZONE: chrono_tz::Tz = chrono_tz::Asia::Kolkata;

/// Events print without panicking, whatever a body holds.
pub fn webhook_body(bytes: &[u8]) {
    if let Ok(events) = cloud_api::webhooks::read(bytes) {
        for event in events {
            let _ = event.to_string();
        }
    }
}

/// The first line is the header, the rest the body: nothing but our own signature is
/// believed.
pub fn signature(bytes: &[u8]) {
    let at = bytes.iter().position(|b| *b == b'\n').unwrap_or(bytes.len());
    let (header, body) =
        (String::from_utf8_lossy(&bytes[..at]), bytes.get(at + 1..).unwrap_or(&[]));
    let secret = SecretString::from("app secret");
    let secrets = [secret];
    let believed = cloud_api::signature::verify(&secrets, body, Some(&header)).is_ok();
    let ours = cloud_api::signature::sign(&secrets[0], body);
    assert_eq!(believed, header.eq_ignore_ascii_case(&ours), "a made up signature was believed");
}

/// What is believed was made by us, and comes out as it went in.
pub fn callback(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let key = CallbackKey::derive(b"app secret", "installation");
    let _ = Callback::peek(&text);
    if let Ok((callback, _)) = Callback::decode(&text, &key) {
        let again = Callback::decode(&callback.encode(&key), &key);
        assert_eq!(again, Ok((callback, Proof::Ours)));
    }
}

/// One row a person, and every line accounted for.
pub fn recipients(bytes: &[u8]) {
    let mut rows: Vec<Recipient> = Vec::new();
    let mut take = |recipient| rows.push(recipient);
    if let Ok(list) = scheduler::intake::read_recipients(bytes, &rules(), &mut take) {
        assert!(list.findings.lines.add_up(), "{}", list.findings.lines);
        let mut ids = BTreeSet::new();
        let mut persons = BTreeSet::new();
        for row in &rows {
            assert!(ids.insert(row.id.as_str()), "one id was taken twice");
            let new = person::keys(&row.address).all(|key| persons.insert(key));
            assert!(new, "one person was taken twice");
        }
    }
}

/// One row a recipient, and every line accounted for.
pub fn content(bytes: &[u8]) {
    let template = crate::install::campaign("fuzz", &["headline"], vec![]).template;
    let mut ids = BTreeSet::new();
    let mut each = |row: scheduler::intake::Content| {
        assert!(ids.insert(row.recipient_id.as_str().to_owned()), "one twice");
    };
    let settle = &mut |_: &mut scheduler::intake::Content| Ok(());
    let read = scheduler::intake::read_content(bytes, &rules(), &template, settle, &mut each);
    if let Ok(read) = read {
        assert!(read.findings.lines.add_up(), "{}", read.findings.lines);
    }
}

fn rules() -> Rules {
    Rules::new(ZONE, Timestamp::from_secs(1_800_000_000))
}

/// A wrong file is refused in words.
pub fn config(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    if let Err(bad) = config::Config::parse(Path::new("fuzz/subah.toml"), &text) {
        assert!(!bad.to_string().is_empty());
    }
}

/// The first two bytes are the status; only a 2xx can be an acceptance.
pub fn graph_answer(bytes: &[u8]) {
    let [high, low, body @ ..] = bytes else { return };
    let status = 100 + u16::from_be_bytes([*high, *low]) % 500;
    let outcome = cloud_api::client::classify(status, None, body);
    if matches!(outcome, domain::Outcome::Accepted { .. }) {
        assert!((200..300).contains(&status), "HTTP {status} was taken for an acceptance");
    }
}

/// Lines are records: any sequence of them folds into facts.
pub fn journal(bytes: &[u8]) {
    let entries = bytes.split(|b| *b == b'\n').filter_map(sender::journal::decode);
    let mut replay = Replay::new("boot");
    let read = |entry| Read { entry, segment: 1, own: false };
    let mut facts: Vec<_> = entries.map(read).filter_map(|read| replay.fold(read)).collect();
    facts.extend(replay.finish(None).facts);
    for fact in &facts {
        assert_ne!(fact.news.http, domain::Http::None, "a dead process has nothing under way");
    }
}

/// Whole frames are read, and their records; torn and damaged ones are not.
pub fn segment(bytes: &[u8]) {
    let mut at = 0;
    while let Ok((payload, size)) = segment_log::decode(&bytes[at..]) {
        let mut again = Vec::new();
        segment_log::encode(payload, &mut again);
        assert_eq!(again, &bytes[at..at + size], "a frame is read as it was written");
        let _ = inbox::Record::decode(payload);
        at += size;
    }
}

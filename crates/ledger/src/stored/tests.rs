//! Goal: what is stored is read as it was, by this version and later ones, and damage is noticed.

use super::*;
use crate::api::Change;
use domain::facts::{Doubt, NotSent};
use domain::failure::Failure;
use domain::{FailureClass, MessageId, NumberId, Phone, Policy, Scope, UserId, Window};

fn at(secs: i64) -> Timestamp {
    Timestamp::from_secs(secs)
}

fn header() -> RunHeader {
    let window = Window {
        opens: at(100),
        target: at(100),
        spread_until: at(100),
        closes: at(200),
        deadline: at(200),
    };
    RunHeader {
        id: "daily-pack@2026-11-27".parse().unwrap(),
        kind: crate::RunKind::Planned,
        zone: "Asia/Kolkata".into(),
        window,
        stop_at: at(200),
        close_at: at(215),
        catch_up_until: None,
        lanes: ["101", "102"].map(|id| NumberId::try_new(id).unwrap()).to_vec(),
        total: 1,
        snapshot: String::new(),
        planning: 0,
        policy: Policy::default(),
        target_ratio: 0.99,
    }
}

/// With something in every field.
fn full() -> Record {
    let failure = Failure { code: 131_000, class: FailureClass::Retryable, scope: Scope::Message };
    let mut facts = Facts {
        ended: Some(Ended::Closed),
        resolved: Some(Resolution::Delivered),
        requeued_at: Some(at(140)),
        suspect: true,
        ..Facts::default()
    };
    let https = [
        Http::None,
        Http::Ambiguous(Doubt::Crash),
        Http::NotSent(NotSent::ConnectTimeout),
        Http::Refused(failure),
        Http::Accepted { id: MessageId::new("wamid.HBgM"), held: true },
    ];
    for (nonce, http) in (u64::MAX - 9..).zip(https) {
        facts.merge_attempt(&Attempt {
            intent_at: Some(at(101)),
            dispatched_at: Some(at(102)),
            written_off_at: Some(at(103)),
            http,
            accepted_at: Some(at(104)),
            sent_at: Some(Timestamp::from_micros(i64::MIN)),
            delivered_at: Some(Timestamp::MAX),
            read_at: Some(at(107)),
            failed: Some(ReportedFailure { at: at(108), failure }),
            words: Some("Message undeliverable".into()),
            time_doubted: true,
            lane: Some(1),
            ..Attempt::new(nonce.into())
        });
    }
    let change = Change::Move { due_at: at(150), expires_at: Some(at(160)) };
    let note = Note { at: at(130), by: "asha".into(), change, why: "she called".into() };
    Record {
        next_at: at(99),
        expires_at: Some(at(190)),
        lease_token: 7,
        lease_until: Some(at(110)),
        lost_leases: 1,
        strikes: 2,
        damage: Some("record: cut".into()),
        notes: vec![note],
        ..Record::new(1, at(100), facts, &Policy::default())
    }
}

fn envelope() -> Envelope {
    Envelope {
        recipient: RecipientId::new("r1"),
        to: Address::Phone(Phone::try_new("+919876543210").unwrap()),
        body: BodyHash::of("a body"),
    }
}

fn read(bytes: &[u8]) -> Result<Record> {
    read_record(&header(), 3, bytes)
}

#[test]
fn what_is_stored_is_read() {
    let planned = Record::new(0, at(100), Facts::default(), &Policy::default());
    for stored in [full(), planned] {
        assert_eq!(read(&record(&stored)).unwrap(), stored);
    }
    let user = Address::UserId(UserId::try_new("IN.1349120865").unwrap());
    for stored in [envelope(), Envelope { to: user, body: BodyHash::default(), ..envelope() }] {
        assert_eq!(read_message(&header().id, "message", &message(&stored)).unwrap(), stored);
    }
}

/// A form that is read for years: whoever changes an enum's order, or a field, sees it here.
#[test]
fn the_form_is_what_it_was() {
    let of_full = record(&full());
    let sum = format!("{:08x}", crc32c::crc32c(&of_full[..of_full.len() - SUM]));
    assert_eq!((of_full.len(), sum.as_str()), (564, "1d7d5163"));
    let planned = Record::new(1, at(100), Facts::default(), &Policy::default());
    let planned = hex::encode(record(&planned));
    assert_eq!(planned, "020000010000e1f50500000000000000000000000000000000008c6afafd");
    assert_eq!(
        hex::encode(message(&envelope())),
        "02027231000d2b39313938373635343332313010771824de42287642fa0fbe0b568b80cc1ff9ac4f"
    );
}

#[test]
fn every_flipped_bit_is_noticed() {
    let (of_record, of_message) = (record(&full()), message(&envelope()));
    for bit in 0..of_record.len() * 8 {
        let mut flipped = of_record.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert!(read(&flipped).is_err(), "bit {bit} makes another record");
    }
    for bit in 0..of_message.len() * 8 {
        let mut flipped = of_message.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let read = read_message(&header().id, "message", &flipped);
        assert!(read.is_err(), "bit {bit} makes another message");
    }
    for end in 0..of_record.len() {
        assert!(read(&of_record[..end]).is_err(), "cut at {end}");
    }
}

#[test]
fn what_earlier_versions_have_written_is_read() {
    let plain = r#"{"lane":1,"due":100000000,"next":100000000,"state":"planned"}"#;
    let planned = Record::new(1, at(100), Facts::default(), &Policy::default());
    assert_eq!(read(plain.as_bytes()).unwrap(), planned);
    let whole = &plain[..plain.len() - 1];
    let sum = crc32c::crc32c(plain.as_bytes());
    let sealed = format!("{whole},\"sum\":{sum}}}");
    assert_eq!(read(sealed.as_bytes()).unwrap(), planned);
    let other = sealed.replace("\"lane\":1", "\"lane\":0");
    assert!(matches!(read(other.as_bytes()), Err(LedgerError::Corrupt { .. })));
    let said = r#"{"id":"r1","to":{"phone":"+919876543210"},"body":"#;
    let said = format!("{said}\"{}\"}}", BodyHash::of("a body"));
    let run = header().id;
    assert_eq!(read_message(&run, "message", said.as_bytes()).unwrap(), envelope());
}

#[test]
fn what_an_attempt_was_sent_as_is_kept_and_costs_nothing_where_it_was_planned() {
    let mut other = full();
    other.facts.attempts[1].sent_as = Some(TemplateName::from("daily_pack_v3"));
    let bytes = record(&other);
    assert_eq!((bytes[0], record(&full())[0]), (FORM_SENT_AS, FORM));
    assert_eq!(read(&bytes).unwrap(), other);
    let found = in_place_of(&bytes[..20], None, "cut", &header());
    assert_eq!((found.lane, found.due_at), (1, at(100)));
    for bit in 0..bytes.len() * 8 {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert!(read(&flipped).is_err(), "bit {bit} makes another record");
    }
}

#[test]
fn what_a_newer_version_has_written_is_left_alone() {
    let mut newer = record(&full());
    newer[0] = FORM_SENT_AS + 1;
    let end = newer.len() - SUM;
    let sum = crc32c::crc32c(&newer[..end]);
    newer[end..].copy_from_slice(&sum.to_le_bytes());
    let found = read(&newer);
    assert!(matches!(found, Err(LedgerError::Newer { found: 4, known: 3, .. })), "{found:?}");
}

#[test]
fn a_damaged_record_still_tells_where_it_belongs() {
    let mut bytes = record(&full());
    bytes.truncate(20);
    let found = in_place_of(&bytes, None, "cut", &header());
    assert_eq!((found.lane, found.due_at), (1, at(100)));
    let json = in_place_of(br#"{"lane":1,"due":100000000,"#, None, "cut", &header());
    assert_eq!((json.lane, json.due_at), (1, at(100)));
    let nothing = in_place_of(b"\xff", Some(State::Planned), "no sense", &header());
    assert_eq!((nothing.lane, nothing.due_at, nothing.facts.suspect), (0, at(100), false));
}

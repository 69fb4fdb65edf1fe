//! Goal: the report's identities hold, and each miss has the cause a person would name.

use std::sync::Arc;
use std::time::Duration;

use domain::Suppression;
use domain::facts::{Doubt, Ended, NotSent};
use domain::failure::{Failure, ReportedFailure};
use domain::state::state;
use domain::{Address, Facts, NumberId, Phone, Policy, RecipientId, Window};
use domain::{FailureClass, Http, Scope};
use ledger::{Envelope, Phase, RunHeader};

use super::*;

fn at(secs: i64) -> Timestamp {
    Timestamp::from_secs(secs)
}

fn run() -> Run {
    let window = Window {
        opens: at(0),
        target: at(30),
        spread_until: at(240),
        closes: at(300),
        deadline: at(330),
    };
    let header = RunHeader {
        id: "daily-pack@2026-11-21".parse().unwrap(),
        kind: ledger::RunKind::Planned,
        zone: "Asia/Kolkata".into(),
        window,
        stop_at: at(330),
        close_at: at(342),
        catch_up_until: None,
        lanes: vec![NumberId::try_new("1065").unwrap()],
        total: 0,
        snapshot: String::new(),
        planning: 0,
        policy: Policy::default(),
        target_ratio: 0.99,
    };
    Run { phase: Phase::Closed, ..Run::new(Arc::new(header)) }
}

fn delivery(attempts: Vec<Attempt>, ended: Option<Ended>) -> DeliveryView {
    let facts = Facts { attempts, ended, ..Facts::default() };
    DeliveryView {
        id: "daily-pack@2026-11-21#0".parse().unwrap(),
        lane: NumberId::try_new("1065").unwrap(),
        state: state(&facts, false, &Policy::default()),
        due_at: at(10),
        next_at: at(10),
        expires_at: None,
        facts,
        damage: None,
        message: Some(Envelope {
            recipient: RecipientId::new("r"),
            to: Address::Phone(Phone::try_new("+919876543210").unwrap()),
            body: ledger::BodyHash::default(),
        }),
        strikes: 0,
        notes: Vec::new(),
    }
}

fn accepted() -> Attempt {
    Attempt {
        intent_at: Some(at(10)),
        dispatched_at: Some(at(10) + Duration::from_millis(2)),
        accepted_at: Some(at(11)),
        http: Http::Accepted { id: domain::MessageId::new("w"), held: false },
        ..Attempt::new(1.into())
    }
}

fn http(http: Http) -> Attempt {
    Attempt { intent_at: Some(at(10)), http, ..Attempt::new(1.into()) }
}

fn failure(class: FailureClass, scope: Scope) -> Failure {
    Failure { code: 1, class, scope }
}

fn everything() -> Vec<(&'static str, DeliveryView)> {
    let closed = Some(Ended::Closed);
    let rejected = failure(FailureClass::Rejected, Scope::Recipient);
    let reported = Some(ReportedFailure { at: at(20), failure: rejected });
    vec![
        ("", delivery(vec![Attempt { delivered_at: Some(at(330)), ..accepted() }], None)),
        ("", delivery(vec![Attempt { read_at: Some(at(40)), ..accepted() }], None)),
        ("", delivery(vec![], Some(Ended::Suppressed(Suppression::NoConsent)))),
        (
            "delivered_late",
            delivery(vec![Attempt { delivered_at: Some(at(331)), ..accepted() }], None),
        ),
        (
            "recipient_unreachable",
            delivery(vec![Attempt { sent_at: Some(at(12)), ..accepted() }], None),
        ),
        ("no_status", delivery(vec![accepted()], None)),
        ("recipient_refused", delivery(vec![Attempt { failed: reported, ..accepted() }], None)),
        ("unanswered", delivery(vec![http(Http::Ambiguous(Doubt::Timeout))], closed)),
        ("not_reached", delivery(vec![], closed)),
        ("network", delivery(vec![http(Http::NotSent(NotSent::Connect))], closed)),
        (
            "number_stopped",
            delivery(
                vec![http(Http::Refused(failure(FailureClass::Halted, Scope::Number)))],
                closed,
            ),
        ),
        (
            "throttled",
            delivery(
                vec![http(Http::Refused(failure(FailureClass::Throttled, Scope::Number)))],
                closed,
            ),
        ),
        ("pending", delivery(vec![], None)),
    ]
}

#[test]
fn every_miss_has_its_cause() {
    for (want, delivery) in everything() {
        let got = Causes::new(at(330)).of(&delivery).unwrap_or("");
        assert_eq!(got, want, "{:?}", delivery.facts);
    }
}

#[test]
fn the_reports_identities_hold() {
    let run = run();
    let mut fold = Fold::new(&run);
    let all = everything();
    all.iter().for_each(|(_, delivery)| fold.add(delivery));
    let report = fold.finish("model");
    assert_eq!(report.planned, all.len() as u64);
    assert_eq!(report.states.iter().map(|(_, n)| n).sum::<u64>(), report.planned);
    assert_eq!(report.states.len(), State::ALL.len());
    assert_eq!(report.sla.denominator, report.planned - 1);
    assert_eq!(report.by_deadline, Ladders { accepted: 6, sent: 3, delivered: 2 });
    let missed: u64 = report.misses.iter().map(|miss| miss.count).sum();
    assert_eq!(missed, report.sla.denominator - report.by_deadline.delivered);
    let Attempts { total, accepted, refused, ambiguous, not_sent } = report.attempts;
    assert_eq!(total, accepted + refused + ambiguous + not_sent);
    assert_eq!(report.lateness_ms, Lateness { p50: 2.0, p99: 2.0, max: 2.0, early: 0 });
    assert!(!report.sla.met);
    assert!(report.window.target.ends_with("+05:30"), "{}", report.window.target);
}

#[test]
fn an_empty_run_has_met_its_promise_and_a_close_miss_is_a_miss() {
    let run = run();
    assert!(Fold::new(&run).finish("model").sla.met);
    let mut fold = Fold::new(&run);
    for n in 0..100_000 {
        let arrived = Some(at(20)).filter(|_| n >= 1_001);
        fold.add(&delivery(vec![Attempt { delivered_at: arrived, ..accepted() }], None));
    }
    let sla = fold.finish("model").sla;
    assert_eq!((sla.ratio, sla.met), (0.99, false));
}

/// A number that refused as its last act is stopped; one that worked to the end had too
/// little time; of one that never spoke nothing is known.
#[test]
fn what_was_never_tried_has_the_cause_of_its_number() {
    let taken =
        |secs| Attempt { dispatched_at: Some(at(secs)), accepted_at: Some(at(secs)), ..accepted() };
    let refused = |secs, class, scope| Attempt {
        dispatched_at: Some(at(secs)),
        ..http(Http::Refused(failure(class, scope)))
    };
    let halted = |secs| refused(secs, FailureClass::Halted, Scope::Number);
    let template = |secs| refused(secs, FailureClass::Halted, Scope::Template);
    let throttled = |secs| refused(secs, FailureClass::Throttled, Scope::Number);
    let person = |secs| refused(secs, FailureClass::Rejected, Scope::Recipient);
    let cases: [(&str, Vec<Attempt>); 7] = [
        ("not_reached", vec![]),
        ("number_stopped", vec![taken(20), halted(21), person(22)]),
        ("template_stopped", vec![taken(20), halted(19), template(25)]),
        ("not_enough_time", vec![halted(19), taken(310)]),
        ("throttled", vec![taken(310), throttled(311)]),
        ("not_reached", vec![taken(100)]),
        ("not_reached", vec![person(320)]),
    ];
    for (want, attempts) in cases {
        let run = run();
        let mut fold = Fold::new(&run);
        for attempt in attempts {
            fold.add(&delivery(vec![attempt], None));
        }
        fold.add(&delivery(vec![], Some(Ended::Closed)));
        let report = fold.finish("model");
        let found = report.misses.iter().find(|miss| miss.cause == want);
        assert!(found.is_some_and(|miss| miss.count >= 1), "{want}: {:?}", report.misses);
    }
}

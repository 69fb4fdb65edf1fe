//! Goal: every set of facts has one name, and it is the one an operator would give it.

use super::*;
use crate::clock::Timestamp;
use crate::facts::{Doubt, NotSent, Resolution};
use crate::failure::{Failure, ReportedFailure, Scope};
use crate::message_id::MessageId;
use crate::suppression::Suppression;

fn attempt(nonce: u64, http: Http) -> Attempt {
    Attempt { intent_at: Some(Timestamp::from_secs(1)), http, ..Attempt::new(nonce.into()) }
}

fn refused(class: FailureClass) -> Http {
    Http::Refused(Failure { code: 1, class, scope: Scope::Message })
}

fn written_off(nonce: u64) -> Attempt {
    let written_off_at = Some(Timestamp::from_secs(2));
    Attempt { written_off_at, ..attempt(nonce, Http::Ambiguous(Doubt::Timeout)) }
}

fn accepted() -> Http {
    Http::Accepted { id: MessageId::new("wamid.A"), held: false }
}

fn failed(class: FailureClass) -> Option<ReportedFailure> {
    let failure = Failure { code: 131_026, class, scope: Scope::Recipient };
    Some(ReportedFailure { at: Timestamp::from_secs(9), failure })
}

fn facts(attempts: Vec<Attempt>, ended: Option<Ended>) -> Facts {
    Facts { attempts, ended, ..Facts::default() }
}

/// Facts, and the state that a person would name them by.
type Case = (&'static str, Facts, State);

fn doubt() -> Http {
    Http::Ambiguous(Doubt::Timeout)
}

const CLOSED: Option<Ended> = Some(Ended::Closed);
const AT: Option<Timestamp> = Some(Timestamp::from_secs(5));

fn before_an_answer() -> Vec<Case> {
    use FailureClass::{Halted, Rejected, Retryable, Throttled};
    vec![
        ("nothing happened", facts(vec![], None), State::Planned),
        ("window over, never tried", facts(vec![], CLOSED), State::Expired),
        ("cancelled before a try", facts(vec![], Some(Ended::Cancelled)), State::Cancelled),
        (
            "left out",
            facts(vec![], Some(Ended::Suppressed(Suppression::NoConsent))),
            State::Suppressed,
        ),
        ("in flight", facts(vec![attempt(1, Http::None)], None), State::Intent),
        ("in flight at the close", facts(vec![attempt(1, Http::None)], CLOSED), State::Intent),
        ("no answer", facts(vec![attempt(1, doubt())], None), State::Ambiguous),
        ("no answer, window over", facts(vec![attempt(1, doubt())], CLOSED), State::Unknown),
        (
            "no answer, webhook says sent",
            facts(vec![Attempt { sent_at: AT, ..attempt(1, doubt()) }], CLOSED),
            State::Sent,
        ),
        ("throttled", facts(vec![attempt(1, refused(Throttled))], None), State::RetryWait),
        (
            "given back by a breaker",
            facts(vec![attempt(1, refused(Halted))], None),
            State::RetryWait,
        ),
        (
            "throttled to the end",
            facts(vec![attempt(1, refused(Throttled))], CLOSED),
            State::Expired,
        ),
        (
            "never left",
            facts(vec![attempt(1, Http::NotSent(NotSent::Connect))], None),
            State::RetryWait,
        ),
        ("refused for good", facts(vec![attempt(1, refused(Rejected))], None), State::Failed),
        ("may try again", facts(vec![attempt(1, refused(Retryable))], None), State::RetryWait),
        ("tried, window over", facts(vec![attempt(1, refused(Retryable))], CLOSED), State::Failed),
        (
            "three tries spent",
            facts((1..=3).map(|n| attempt(n, refused(Retryable))).collect(), None),
            State::Failed,
        ),
    ]
}

fn after_an_answer() -> Vec<Case> {
    use FailureClass::{Rejected, Retryable};
    vec![
        ("accepted", facts(vec![attempt(1, accepted())], None), State::Accepted),
        (
            "held for quality",
            facts(vec![attempt(1, Http::Accepted { id: MessageId::new("w"), held: true })], None),
            State::Held,
        ),
        (
            "failed after sent",
            facts(
                vec![Attempt { sent_at: AT, failed: failed(Rejected), ..attempt(1, accepted()) }],
                None,
            ),
            State::Failed,
        ),
        (
            "failed and delivered: delivered wins",
            facts(
                vec![Attempt {
                    delivered_at: AT,
                    failed: failed(Rejected),
                    ..attempt(1, accepted())
                }],
                None,
            ),
            State::Delivered,
        ),
        (
            "read without delivered",
            facts(vec![Attempt { read_at: AT, ..attempt(1, accepted()) }], None),
            State::Read,
        ),
        (
            "first try failed later, second arrived",
            facts(
                vec![
                    Attempt { failed: failed(Retryable), ..attempt(1, accepted()) },
                    Attempt { delivered_at: AT, ..attempt(2, accepted()) },
                ],
                None,
            ),
            State::Delivered,
        ),
        (
            "refused later, may try again",
            facts(vec![Attempt { failed: failed(Retryable), ..attempt(1, accepted()) }], None),
            State::RetryWait,
        ),
    ]
}

fn after_evidence_or_a_person() -> Vec<Case> {
    use FailureClass::{Rejected, Retryable};
    vec![
        ("no answer, written off", facts(vec![written_off(1)], None), State::RetryWait),
        ("written off, window over", facts(vec![written_off(1)], CLOSED), State::Unknown),
        (
            "written off, then refused to the end: the first may still have gone",
            facts(
                vec![
                    written_off(1),
                    attempt(2, refused(Retryable)),
                    attempt(3, refused(Retryable)),
                ],
                None,
            ),
            State::Unknown,
        ),
        (
            "written off, and it went after all",
            facts(vec![Attempt { delivered_at: AT, ..written_off(1) }], CLOSED),
            State::Delivered,
        ),
        (
            "stopped its worker again and again",
            facts(vec![], Some(Ended::Quarantined)),
            State::Quarantined,
        ),
        (
            "unknown, and an operator asked the recipient",
            Facts {
                resolved: Some(Resolution::Delivered),
                ..facts(vec![attempt(1, doubt())], CLOSED)
            },
            State::Delivered,
        ),
        (
            "refused for good, and put back",
            Facts {
                requeued_at: Some(Timestamp::from_secs(8)),
                ..facts(vec![attempt(1, refused(Rejected))], None)
            },
            State::RetryWait,
        ),
        (
            "in doubt, and put back: doubt is not set aside",
            Facts {
                requeued_at: Some(Timestamp::from_secs(8)),
                ..facts(vec![attempt(1, doubt())], None)
            },
            State::Ambiguous,
        ),
    ]
}

#[test]
fn every_set_of_facts_has_the_state_a_person_would_name() {
    let cases = [before_an_answer(), after_an_answer(), after_evidence_or_a_person()];
    for (name, facts, want) in cases.into_iter().flatten() {
        assert_eq!(state(&facts, false, &Policy::default()), want, "{name}");
    }
}

#[test]
fn a_suspect_is_in_doubt_only_for_those_who_hold() {
    let suspect = Facts { suspect: true, ..Facts::default() };
    let hold = Policy { on_ambiguous: OnAmbiguous::Hold, ..Policy::default() };
    assert_eq!(state(&suspect, false, &hold), State::Ambiguous);
    assert_eq!(state(&suspect, false, &Policy::default()), State::Planned);
    for policy in [&hold, &Policy::default()] {
        let ended = Facts { ended: CLOSED, ..suspect.clone() };
        assert_eq!(state(&ended, false, policy), State::Unknown, "it is not simply expired");
    }
    assert!(!suspect.possible_duplicate(), "nothing was sent yet");
    let sent = Facts { suspect: true, ..facts(vec![attempt(1, accepted())], None) };
    assert!(sent.possible_duplicate());
}

#[test]
fn what_is_sent_again_without_proof_is_marked() {
    let again = |second| facts(vec![written_off(1), second], None);
    let later = Attempt { intent_at: Some(Timestamp::from_secs(3)), ..attempt(2, accepted()) };
    assert!(again(later.clone()).possible_duplicate());
    let refused = Attempt { http: refused(FailureClass::Rejected), ..later.clone() };
    assert!(!again(refused).possible_duplicate(), "only the first may have gone");
    assert!(!facts(vec![written_off(1)], None).possible_duplicate(), "nothing was sent again");
    let both = facts(
        vec![
            Attempt { sent_at: Some(Timestamp::from_secs(4)), ..written_off(1) },
            Attempt { read_at: Some(Timestamp::from_secs(5)), ..later },
        ],
        None,
    );
    assert_eq!(both.proven_duplicates(), 1);
}

#[test]
fn a_lease_shows_only_while_the_delivery_waits() {
    let policy = Policy::default();
    assert_eq!(state(&Facts::default(), true, &policy), State::Leased);
    let flying = facts(vec![attempt(1, Http::None)], None);
    assert_eq!(state(&flying, true, &policy), State::Intent);
}

#[test]
fn deferrals_end_when_their_budget_is_spent() {
    let policy = Policy { defers_max: 2, ..Policy::default() };
    let tries =
        |n| facts((1..=n).map(|i| attempt(i, refused(FailureClass::Throttled))).collect(), None);
    assert_eq!(state(&tries(2), false, &policy), State::RetryWait);
    assert_eq!(state(&tries(3), false, &policy), State::Failed);
}

#[test]
fn state_names_round_trip() {
    for state in State::ALL {
        assert_eq!(State::parse(state.as_str()), Some(state));
        assert_eq!(serde_json::to_string(&state).unwrap(), format!("\"{state}\""));
    }
}

//! Goal: order and repeats of reports never change what is known.
//! Method: random fact sets; merge laws as properties.

use proptest::prelude::*;

use super::*;
use crate::failure::{FailureClass, Scope};
use crate::state::{Policy, Standing, State, standing, state};

fn instant() -> impl Strategy<Value = Option<Timestamp>> {
    proptest::option::of((0i64..50).prop_map(Timestamp::from_secs))
}

fn failure() -> impl Strategy<Value = Failure> {
    (0i32..3, 0usize..4).prop_map(|(code, class)| Failure {
        code,
        class: [
            FailureClass::Throttled,
            FailureClass::Retryable,
            FailureClass::Halted,
            FailureClass::Rejected,
        ][class],
        scope: Scope::Message,
    })
}

fn http() -> impl Strategy<Value = Http> {
    prop_oneof![
        Just(Http::None),
        Just(Http::Ambiguous(Doubt::Timeout)),
        Just(Http::NotSent(NotSent::Connect)),
        failure().prop_map(Http::Refused),
        any::<bool>().prop_map(|held| Http::Accepted { id: MessageId::new("wamid.X"), held }),
    ]
}

fn attempt() -> impl Strategy<Value = Attempt> {
    let failed = proptest::option::of((0i64..50, failure()));
    (
        0u64..4,
        http(),
        [instant(), instant(), instant(), instant(), instant(), instant(), instant()],
        failed,
    )
        .prop_map(|(nonce, http, at, failed)| Attempt {
            words: (nonce % 2 == 0).then(|| format!("words {nonce}")),
            time_doubted: false,
            lane: at[0].map(|_| 1),
            sent_as: at[1].map(|_| TemplateName::from("daily_pack_v3")),
            nonce: nonce.into(),
            intent_at: at[0],
            dispatched_at: at[1],
            written_off_at: at[6],
            http,
            accepted_at: at[2],
            sent_at: at[3],
            delivered_at: at[4],
            read_at: at[5],
            failed: failed
                .map(|(at, failure)| ReportedFailure { at: Timestamp::from_secs(at), failure }),
        })
}

/// What we ourselves add to a delivery.
type Ours = (Option<Ended>, Option<Resolution>, Option<Timestamp>, bool);

fn ours() -> impl Strategy<Value = Ours> {
    let ended = proptest::option::of(prop_oneof![
        Just(Ended::Closed),
        Just(Ended::Cancelled),
        Just(Ended::Quarantined)
    ]);
    let resolved = proptest::option::of(prop_oneof![
        Just(Resolution::Delivered),
        Just(Resolution::NotDelivered)
    ]);
    (ended, resolved, instant(), any::<bool>())
}

fn fold<'a>(news: impl IntoIterator<Item = &'a Attempt>) -> Facts {
    let mut facts = Facts::default();
    for attempt in news {
        facts.merge_attempt(attempt);
    }
    facts
}

proptest! {
    #[test]
    fn any_order_and_any_repetition_end_in_the_same_facts_and_state(
        news in proptest::collection::vec(attempt(), 0..8),
        seed in any::<u64>(),
    ) {
        let want = fold(&news);
        let mut shuffled: Vec<&Attempt> = news.iter().chain(&news).collect();
        shuffled.sort_by_key(|a| crate::hash::mix64(seed ^ a.nonce.0 ^ a.sent_at.map_or(9, |t| t.micros() as u64)));
        let got = fold(shuffled);
        prop_assert_eq!(&got, &want);
        let policy = Policy::default();
        prop_assert_eq!(state(&got, false, &policy), state(&want, false, &policy));
    }

    #[test]
    fn merging_commutes_and_associates(
        a in proptest::collection::vec(attempt(), 0..4),
        b in proptest::collection::vec(attempt(), 0..4),
        c in proptest::collection::vec(attempt(), 0..4),
        ours in [ours(), ours(), ours()],
    ) {
        let whole = |news: &[Attempt], (ended, resolved, requeued_at, suspect)| {
            Facts { ended, resolved, requeued_at, suspect, ..fold(news) }
        };
        let (a, b, c) = (whole(&a, ours[0]), whole(&b, ours[1]), whole(&c, ours[2]));
        let join = |x: &Facts, y: &Facts| { let mut x = x.clone(); x.merge(y); x };
        prop_assert_eq!(join(&a, &b), join(&b, &a));
        prop_assert_eq!(join(&join(&a, &b), &c), join(&a, &join(&b, &c)));
        prop_assert_eq!(join(&a, &a), a);
    }

    #[test]
    fn news_never_lowers_what_a_person_sees(
        news in proptest::collection::vec(attempt(), 1..8),
    ) {
        let rank = |facts: &Facts| {
            let best = facts.attempts.iter().map(standing).filter_map(|s| match s {
                Standing::Taken(state @ (State::Delivered | State::Read)) => Some(state),
                _ => None,
            });
            best.max()
        };
        let mut facts = Facts::default();
        for attempt in &news {
            let before = rank(&facts);
            facts.merge_attempt(attempt);
            prop_assert!(rank(&facts) >= before, "a message was un-received");
        }
    }

    #[test]
    fn a_record_survives_its_own_text(news in proptest::collection::vec(attempt(), 0..6)) {
        let facts = fold(&news);
        let text = serde_json::to_string(&facts).unwrap();
        prop_assert_eq!(serde_json::from_str::<Facts>(&text).unwrap(), facts);
    }
}

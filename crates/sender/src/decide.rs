//! What follows from the outcome of one attempt. Pure.
//!
//! | outcome | recorded as | next |
//! |---|---|---|
//! | accepted | accepted, or held | done; webhooks tell the rest |
//! | throttled | refused, unspent | later; the number slows down, or only the recipient waits |
//! | halted | refused, unspent | the thing's breaker opens; later |
//! | rejected | refused | failed for good |
//! | not sent | not sent, unspent | later |
//! | ambiguous | ambiguous | nothing: what follows doubt is the ledger's to say |

use std::time::Duration;

use domain::facts::Doubt;
use domain::{Backoff, Failure, FailureClass, Http, Outcome, Scope, Timestamp};
use rand::Rng;

use crate::options::Options;

/// What to record and what to do beside it.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    pub http: Http,
    pub accepted_at: Option<Timestamp>,
    /// After how long another try may go, if the state that follows allows one.
    pub retry_in: Option<Duration>,
    pub effect: Effect,
}

/// What an outcome says about more than its own delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    None,
    /// Something went through: breakers on its way close.
    Flows,
    /// Too fast: the number halves its rate.
    SlowDown,
    /// The scope refuses everything: its breaker opens.
    Trip(Scope),
    /// A refusal or a doubt that says nothing about the recipient: many equal ones in a row
    /// stop the smallest thing that they share.
    Streak,
}

/// How far the delivery has come before this attempt.
#[derive(Clone, Copy, Debug, Default)]
pub struct Spent {
    pub attempts: u32,
    pub defers: u32,
}

pub fn decide(
    outcome: Outcome,
    spent: Spent,
    now: Timestamp,
    options: &Options,
    rng: &mut impl Rng,
) -> Decision {
    match outcome {
        Outcome::Accepted { id, held } => Decision {
            http: Http::Accepted { id, held },
            accepted_at: Some(now),
            retry_in: None,
            effect: Effect::Flows,
        },
        Outcome::Refused { failure, retry_after, .. } => {
            let wait = retry_after
                .map(|hint| hint.div_f64(options.compress))
                .unwrap_or_else(|| backoff(failure, options).delay(step(failure, spent), rng));
            Decision {
                http: Http::Refused(failure),
                accepted_at: None,
                retry_in: Some(wait),
                effect: effect(failure),
            }
        }
        Outcome::NotSent(reason) => Decision {
            http: Http::NotSent(reason),
            accepted_at: None,
            retry_in: Some(options.defer.delay(spent.defers + 1, rng)),
            effect: Effect::None,
        },
        Outcome::Ambiguous { doubt, .. } => Decision {
            http: Http::Ambiguous(doubt),
            accepted_at: None,
            retry_in: None,
            effect: match doubt {
                Doubt::ServerError | Doubt::Unreadable => Effect::Streak,
                _ => Effect::None,
            },
        },
    }
}

fn effect(failure: Failure) -> Effect {
    match (failure.class, failure.scope) {
        (FailureClass::Throttled, Scope::Recipient) => Effect::None,
        (FailureClass::Throttled, _) => Effect::SlowDown,
        (FailureClass::Halted, scope) => Effect::Trip(scope),
        (FailureClass::Rejected, Scope::Message) => Effect::Streak,
        (FailureClass::Retryable | FailureClass::Rejected, _) => Effect::None,
    }
}

/// The pair limit asks for 4^n seconds, which is our backoff between attempts.
fn backoff(failure: Failure, options: &Options) -> Backoff {
    match (failure.class, failure.scope) {
        (FailureClass::Throttled, Scope::Recipient) | (FailureClass::Retryable, _) => {
            options.backoff
        }
        _ => options.defer,
    }
}

fn step(failure: Failure, spent: Spent) -> u32 {
    match failure.class {
        FailureClass::Retryable => spent.attempts + 1,
        _ => spent.defers + 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::facts::NotSent;
    use rand::SeedableRng;

    const NOW: Timestamp = Timestamp::from_secs(1_000);

    fn decided(outcome: Outcome, spent: Spent) -> Decision {
        let mut rng = rand::rngs::SmallRng::seed_from_u64(1);
        decide(outcome, spent, NOW, &Options::default(), &mut rng)
    }

    fn refused(code: i32, class: FailureClass, scope: Scope) -> Outcome {
        let failure = Failure { code, class, scope };
        Outcome::Refused { failure, retry_after: None, words: String::new() }
    }

    fn wait(decision: &Decision) -> f64 {
        decision.retry_in.expect("another try").as_secs_f64()
    }

    #[test]
    fn doubt_is_never_followed_by_a_try() {
        for doubt in [Doubt::Timeout, Doubt::Reset, Doubt::ServerError, Doubt::Unreadable] {
            let outcome = Outcome::Ambiguous { doubt, code: None, words: String::new() };
            let decision = decided(outcome, Spent::default());
            assert_eq!(decision.retry_in, None, "{doubt:?}");
            assert_eq!(decision.http, Http::Ambiguous(doubt));
        }
    }

    #[test]
    fn each_refusal_touches_only_what_it_speaks_of() {
        use FailureClass::{Halted, Rejected, Throttled};
        let cases = [
            (130_429, Throttled, Scope::Number, Effect::SlowDown),
            (131_056, Throttled, Scope::Recipient, Effect::None),
            (131_057, Halted, Scope::Number, Effect::Trip(Scope::Number)),
            (80_007, Throttled, Scope::Account, Effect::SlowDown),
            (132_015, Halted, Scope::Template, Effect::Trip(Scope::Template)),
            (190, Halted, Scope::Auth, Effect::Trip(Scope::Auth)),
            (131_026, Rejected, Scope::Recipient, Effect::None),
            (132_000, Rejected, Scope::Message, Effect::Streak),
        ];
        for (code, class, scope, want) in cases {
            let got = decided(refused(code, class, scope), Spent::default());
            assert_eq!(got.effect, want, "{code}");
        }
    }

    #[test]
    fn waits_grow_with_what_was_spent() {
        let pair = || refused(131_056, FailureClass::Throttled, Scope::Recipient);
        for (defers, low, high) in [(0, 0.5, 1.5), (1, 2.0, 6.0), (2, 8.0, 24.0)] {
            let wait = wait(&decided(pair(), Spent { attempts: 0, defers }));
            assert!((low..=high).contains(&wait), "after {defers} deferrals: {wait} s");
        }
        let unsent = decided(Outcome::NotSent(NotSent::Connect), Spent::default());
        assert!((0.5..=1.5).contains(&wait(&unsent)));
    }

    #[test]
    fn their_hint_outranks_our_backoff() {
        let failure =
            Failure { code: 130_429, class: FailureClass::Throttled, scope: Scope::Number };
        let retry_after = Some(Duration::from_secs(7));
        let outcome = Outcome::Refused { failure, retry_after, words: String::new() };
        assert_eq!(wait(&decided(outcome, Spent::default())), 7.0);
    }
}

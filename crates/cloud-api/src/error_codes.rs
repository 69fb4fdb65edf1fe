//! What each Graph error code means for a delivery: one line a code.
//!
//! Codes decide, never HTTP statuses: the field has seen 403, 400 and 429 for the same
//! code. Unknown codes are classed by the error's shape in [`answered`] and [`reported`].
//! Source: Meta, "Error codes" (September 2026), with client libraries' tests where Meta
//! is silent; titles are ours.

pub use domain::failure::NO_CODE;
use domain::{Failure, FailureClass, Scope};

use Rule::{Doubtful, Halted, Rejected, Throttled};

/// Errors of Graph's own that leave it open whether the message was taken, and after which
/// it usually was not: a short silence is evidence enough.
pub const USUALLY_NOT_TAKEN: [i32; 5] = [1, 2, 131_000, 131_016, 133_004];

/// Media that cannot be fetched, or has a type that is not taken.
pub const BAD_MEDIA: i32 = 131_053;

/// How a code is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// Not taken; wait, then repeat without spending an attempt.
    Throttled,
    /// In an answer: may have been taken. In a `failed` status: was not delivered, once more.
    Doubtful,
    /// Never succeeds unchanged.
    Rejected,
    /// The scope is unusable until a person or Meta changes it.
    Halted,
}

/// One row of the table.
#[derive(Clone, Copy, Debug)]
pub struct Code {
    pub code: i32,
    pub rule: Rule,
    pub scope: Scope,
    pub meaning: &'static str,
}

const fn row(code: i32, rule: Rule, scope: Scope, meaning: &'static str) -> Code {
    Code { code, rule, scope, meaning }
}

use Scope::{Account, Auth, Message, Number, Recipient, Template};

/// Sorted by code.
#[rustfmt::skip]
pub const CODES: &[Code] = &[
    row(0,      Halted,    Auth,      "access token expired or revoked"),
    row(1,      Doubtful,  Message,   "unknown API error, or a bad request"),
    row(2,      Doubtful,  Message,   "API service down or overloaded"),
    row(3,      Halted,    Auth,      "capability or permission missing"),
    row(4,      Throttled, Account,   "call limit of the app reached"),
    row(5,      Halted,    Auth,      "calls from this address are not allowed"),
    row(10,     Halted,    Auth,      "permission not granted"),
    row(17,     Throttled, Account,   "call limit of the user reached"),
    row(33,     Halted,    Number,    "number deleted or id wrong"),
    row(100,    Rejected,  Message,   "invalid or misspelt parameter"),
    row(101,    Halted,    Auth,      "the app cannot be validated"),
    row(102,    Halted,    Auth,      "session invalid"),
    row(104,    Halted,    Auth,      "signature invalid"),
    row(190,    Halted,    Auth,      "access token expired"),
    row(341,    Throttled, Account,   "call limit of the application reached"),
    row(368,    Halted,    Account,   "account restricted for policy violations"),
    row(613,    Throttled, Number,    "custom call limit reached"),
    row(803,    Halted,    Number,    "object does not exist"),
    row(2500,   Halted,    Auth,      "the request's path or token cannot be understood"),
    row(2635,   Halted,    Account,   "this version of the API has ended"),
    row(80007,  Throttled, Account,   "call limit of the WhatsApp account reached"),
    row(130403, Rejected,  Recipient, "our business has blocked this user"),
    row(130429, Throttled, Number,    "throughput of the number reached"),
    row(130472, Rejected,  Recipient, "user is in a marketing hold-out experiment"),
    row(130497, Rejected,  Recipient, "account may not message this country"),
    row(130501, Rejected,  Message,   "message type not supported"),
    row(131000, Doubtful,  Message,   "something went wrong"),
    row(131005, Halted,    Auth,      "access denied"),
    row(131008, Rejected,  Message,   "required parameter missing"),
    row(131009, Rejected,  Message,   "parameter value invalid"),
    row(131014, Rejected,  Message,   "request for media URL failed"),
    row(131016, Doubtful,  Message,   "service temporarily unavailable"),
    row(131020, Rejected,  Recipient, "group has a single member"),
    row(131021, Rejected,  Recipient, "recipient is the sender"),
    row(131026, Rejected,  Recipient, "undeliverable: not on WhatsApp, old app, or terms not accepted"),
    row(131030, Rejected,  Recipient, "recipient is not on the test number's list"),
    row(131031, Halted,    Account,   "account locked"),
    row(131037, Halted,    Number,    "number has no approved display name"),
    row(131041, Rejected,  Recipient, "unknown group"),
    row(131042, Halted,    Account,   "payment problem"),
    row(131044, Halted,    Account,   "payment problem"),
    row(131045, Halted,    Number,    "number not registered: certificate error"),
    row(131047, Rejected,  Recipient,   "more than 24 hours since the user's last message"),
    row(131048, Halted,    Number,    "spam limit of the number reached"),
    row(131049, Rejected,  Recipient, "per-user marketing limit: not again for 24 hours"),
    row(131050, Rejected,  Recipient, "user stopped marketing messages"),
    row(131051, Rejected,  Message,   "unsupported message type"),
    row(131052, Rejected,  Message,   "inbound media cannot be downloaded"),
    row(131053, Rejected,  Message,   "media cannot be fetched, or has a bad type"),
    row(131055, Rejected,  Message,   "method not allowed"),
    row(131056, Throttled, Recipient, "pair rate limit: too many messages to this recipient"),
    // Up to a minute: the number pauses rather than slows.
    row(131057, Halted,    Number,    "account in maintenance, about a minute"),
    row(131058, Rejected,  Message,   "hello_world is for test numbers only"),
    row(131059, Rejected,  Message,   "cursor expired"),
    row(131060, Rejected,  Message,   "message unavailable"),
    row(131062, Rejected,  Recipient, "user id not allowed for this message: use the phone number"),
    row(131063, Halted,    Template,  "marketing is switched off for Cloud API on this account"),
    row(131064, Halted,    Account,   "account limited after template misclassification"),
    row(132000, Rejected,  Message,   "number of parameters does not match the template"),
    row(132001, Halted,    Template,  "template missing in that language, or not approved"),
    row(132005, Rejected,  Message,   "rendered text too long"),
    row(132007, Halted,    Template,  "template content violates policy"),
    row(132008, Rejected,  Message,   "parameter value invalid"),
    row(132012, Rejected,  Message,   "parameter format does not match the template"),
    row(132015, Halted,    Template,  "template paused for low quality"),
    row(132016, Halted,    Template,  "template disabled"),
    row(132018, Rejected,  Message,   "parameter text not allowed (new line, tab, five spaces)"),
    row(132068, Halted,    Template,  "flow blocked"),
    row(132069, Halted,    Template,  "flow throttled"),
    row(133004, Doubtful,  Message,   "server temporarily unavailable"),
    row(133010, Halted,    Number,    "number not registered"),
    row(134011, Halted,    Account,   "payments terms not accepted"),
    row(134100, Rejected,  Message,   "only marketing templates here"),
    row(134101, Halted,    Template,  "template still syncing"),
    row(134102, Halted,    Template,  "template unavailable for marketing messages"),
    row(135000, Rejected,  Message,   "unknown problem with the parameters"),
    row(137000, Rejected,  Recipient, "recipient's identity has changed"),
    row(139200, Rejected,  Message,   "direct send not allowed for this content"),
];

/// The table's row for a code.
pub fn lookup(code: i32) -> Option<&'static Code> {
    CODES.binary_search_by_key(&code, |row| row.code).ok().map(|at| &CODES[at])
}

/// What a code means, in words for reports.
pub fn meaning(code: i32) -> &'static str {
    match lookup(code) {
        Some(row) => row.meaning,
        None if code == NO_CODE => "no code was given",
        None if is_permission(code) => "permission missing",
        None => "a code that this version does not know",
    }
}

/// How an HTTP answer with an error is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answered {
    Refused(Failure),
    /// The message may have been taken.
    Doubtful {
        code: i32,
    },
}

/// The error of an answer, as far as it decides.
#[derive(Clone, Copy, Debug, Default)]
pub struct Answer<'a> {
    pub code: i32,
    pub subcode: Option<i32>,
    /// `OAuthException` and the like: only Graph sends one.
    pub kind: &'a str,
    pub is_transient: bool,
}

/// Reads the error of an answer to a send. `subcode` 33 of code 100 names a wrong number.
/// Unknown codes are classed by the error's shape: an OAuthException is a refusal, unless
/// Graph calls it transient; everything else is doubt.
pub fn answered(answer: Answer<'_>) -> Answered {
    let code = answer.code;
    let refused = |class, scope| Answered::Refused(Failure { code, class, scope });
    if code == 100 && answer.subcode == Some(33) {
        return refused(FailureClass::Halted, Scope::Number);
    }
    if let Some(row) = lookup(code) {
        return match row.rule {
            Throttled => refused(FailureClass::Throttled, row.scope),
            // What passes by itself is no reason to give a message up for good.
            Rejected if answer.is_transient => Answered::Doubtful { code },
            Rejected => refused(FailureClass::Rejected, row.scope),
            Halted => refused(FailureClass::Halted, row.scope),
            Doubtful => Answered::Doubtful { code },
        };
    }
    if is_permission(code) {
        return refused(FailureClass::Halted, Scope::Auth);
    }
    if answer.kind == "OAuthException" && !answer.is_transient {
        return refused(FailureClass::Rejected, Scope::Message);
    }
    Answered::Doubtful { code }
}

/// Whether a failure's code is none of the table's: many equal ones are our own fault.
pub fn is_unknown(code: i32) -> bool {
    lookup(code).is_none() && !is_permission(code)
}

/// Reads the first error of a `failed` status: the message was certainly not delivered, and
/// the same class decides as for an answer. `None`: the failure names no code.
pub fn reported(code: Option<i32>) -> Failure {
    let code = code.unwrap_or(NO_CODE);
    let (class, scope) = match lookup(code) {
        // Once more: a link may be fetched the second time.
        Some(row) if code == BAD_MEDIA => (FailureClass::Retryable, row.scope),
        Some(row) => match row.rule {
            Throttled => (FailureClass::Throttled, row.scope),
            Doubtful => (FailureClass::Retryable, row.scope),
            Rejected => (FailureClass::Rejected, row.scope),
            Halted => (FailureClass::Halted, row.scope),
        },
        None if is_permission(code) => (FailureClass::Halted, Scope::Auth),
        None => (FailureClass::Rejected, Scope::Message),
    };
    Failure { code, class, scope }
}

/// 200 to 299: a permission is missing.
fn is_permission(code: i32) -> bool {
    (200..300).contains(&code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_and_names_each_code_once() {
        assert!(CODES.windows(2).all(|pair| pair[0].code < pair[1].code));
    }

    fn of(code: i32) -> Answer<'static> {
        Answer { code, kind: "OAuthException", ..Answer::default() }
    }

    #[test]
    fn codes_decide() {
        let Answered::Refused(failure) = answered(of(131_056)) else { panic!("doubt") };
        assert_eq!((failure.class, failure.scope), (FailureClass::Throttled, Scope::Recipient));
        assert_eq!(answered(of(131_000)), Answered::Doubtful { code: 131_000 });
        assert_eq!(answered(of(1)), Answered::Doubtful { code: 1 });
        let class = |code| match answered(of(code)) {
            Answered::Refused(failure) => Some((failure.class, failure.scope)),
            Answered::Doubtful { .. } => None,
        };
        use FailureClass::{Halted, Rejected, Throttled};
        assert_eq!(class(131_053), Some((Rejected, Scope::Message)), "refused, not sent");
        for (code, want) in [
            (5, (Halted, Scope::Auth)),
            (17, (Throttled, Scope::Account)),
            (101, (Halted, Scope::Auth)),
            (341, (Throttled, Scope::Account)),
            (2_500, (Halted, Scope::Auth)),
            (2_635, (Halted, Scope::Account)),
        ] {
            assert_eq!(class(code), Some(want), "{code}");
        }
    }

    #[test]
    fn unknown_codes_are_classed_by_the_shape_of_the_error() {
        let class = |answer| match answered(answer) {
            Answered::Refused(failure) => Some(failure.class),
            Answered::Doubtful { .. } => None,
        };
        assert_eq!(class(of(999_999)), Some(FailureClass::Rejected));
        assert_eq!(class(Answer { kind: "", ..of(999_999) }), None, "a gateway's");
        assert_eq!(class(Answer { is_transient: true, ..of(999_999) }), None);
        assert_eq!(class(Answer { is_transient: true, ..of(132_000) }), None);
        assert_eq!(class(of(294)), Some(FailureClass::Halted));
        assert_eq!(reported(Some(999_999)).class, FailureClass::Rejected);
    }

    #[test]
    fn a_reported_failure_has_the_class_of_the_same_answer() {
        assert_eq!(reported(Some(131_000)).class, FailureClass::Retryable);
        assert_eq!(reported(Some(131_049)).class, FailureClass::Rejected);
        assert_eq!(reported(Some(131_042)).scope, Scope::Account);
        assert_eq!(reported(Some(131_057)).class, FailureClass::Halted);
        assert_eq!(reported(None).code, NO_CODE);
        assert_eq!(meaning(NO_CODE), "no code was given");
        for row in CODES.iter().filter(|row| row.rule != Doubtful && row.code != BAD_MEDIA) {
            let Answered::Refused(answer) = answered(of(row.code)) else { panic!("{row:?}") };
            assert_eq!(answer, reported(Some(row.code)), "{row:?}");
        }
    }

    #[test]
    fn a_wrong_number_id_is_not_a_wrong_message() {
        let wrong = answered(Answer { subcode: Some(33), ..of(100) });
        let Answered::Refused(failure) = wrong else { panic!("doubt") };
        assert_eq!((failure.class, failure.scope), (FailureClass::Halted, Scope::Number));
    }
}

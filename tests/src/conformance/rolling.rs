//! The contract's part about rolling runs: rows with keys and ends of their own, taken back,
//! moved in time, and moved to other lanes.

use std::sync::Arc;
use std::time::Duration;

use domain::facts::Doubt;
use domain::{Attempt, FailureClass, Http, NumberId, State, Timestamp};
use ledger::opt_outs;
use ledger::rehome::{Rehomed, rehome};
use ledger::{
    Amended, Amendment, Appended, Applied, BodyHash, Change, Filter, IntentAnswer, Ledger, NewRow,
    NotAppended, Phase, Refusal, RowKey, RunHeader, RunKind, WebhookFact,
};

use super::{HOUR, Stage, accepted, news, refused};

const DAY: Duration = Duration::from_secs(24 * 3_600);
/// Long enough to append, claim and be granted an intent, on a slow machine too.
const SOON: Duration = Duration::from_millis(300);

pub async fn run(ledger: &dyn Ledger) {
    a_key_is_one_delivery(ledger).await;
    what_cannot_be_sent_is_not_appended(ledger).await;
    rows_are_sent_and_counted_as_any(ledger).await;
    a_row_that_is_over_ends_and_holds_up_nobody(ledger).await;
    nothing_is_granted_after_its_own_end(ledger).await;
    doubt_ends_with_the_row_and_not_with_the_run(ledger).await;
    what_was_not_sent_is_taken_back_by_its_key(ledger).await;
    what_was_not_tried_is_moved(ledger).await;
    lanes_are_added_to_an_open_run(ledger).await;
    what_waits_moves_to_another_lane_and_its_news_still_count(ledger).await;
    what_may_have_gone_stays_in_its_lane(ledger).await;
    rows_are_found_by_person(ledger).await;
    ends_that_need_a_person_are_listed(ledger).await;
    a_run_of_a_later_day_is_open_and_nothing_of_it_is_due(ledger).await;
    a_forgotten_row_that_comes_back_meets_its_own_news(ledger).await;
    an_older_row_of_a_doubted_run_may_have_been_sent(ledger).await;
}

fn rolling(header: &mut RunHeader) {
    header.kind = RunKind::Rolling;
    header.total = 0;
    header.stop_at = header.window.deadline + DAY;
    header.close_at = header.stop_at;
}

pub(super) async fn stage<'a>(ledger: &'a dyn Ledger, case: &str) -> Stage<'a> {
    let stage = Stage::with(ledger, case, 0, rolling).await;
    let begun = ledger.begin_run(&stage.header).await.unwrap();
    assert_eq!(begun.run().phase, Phase::Open, "a rolling run is open at once");
    trust(ledger).await;
    stage
}

/// A run that is begun when its day has begun waits for what hosts may know of it: nothing, here.
async fn trust(ledger: &dyn Ledger) {
    if let Some(incarnation) = ledger.incarnation().await.unwrap() {
        ledger.lift_fence(&incarnation).await.unwrap();
    }
    let mark = ledger::store_mark::read(ledger).await.unwrap();
    ledger::store_mark::settle(ledger, &mark).await.unwrap();
}

/// Due for an hour, to the `n`-th person, until the run's last day is over.
pub(super) fn row(stage: &Stage<'_>, n: u32) -> NewRow {
    let planned = stage.row(n, None);
    NewRow {
        key: RowKey::of(&format!("key {n}")),
        lane: 0,
        due_at: planned.due_at,
        expires_at: stage.header.stop_at,
        message: planned.message,
        body: Arc::from("body"),
        asked_ago: Duration::ZERO,
    }
}

pub(super) async fn append(stage: &Stage<'_>, rows: &[NewRow]) -> Vec<Appended> {
    stage.ledger.append(&stage.run, rows).await.unwrap()
}

/// Appends rows that are new; their indexes.
async fn add(stage: &Stage<'_>, rows: &[NewRow]) -> Vec<u32> {
    let added = |appended| match appended {
        Appended::Added(index) => index,
        other => panic!("not added: {other:?}"),
    };
    append(stage, rows).await.into_iter().map(added).collect()
}

async fn append_one(stage: &Stage<'_>, row: NewRow) -> u32 {
    add(stage, &[row]).await[0]
}

async fn amend(stage: &Stage<'_>, index: u32, change: Change) -> Amended {
    let amendment = Amendment { id: stage.id(index), change, note: None };
    stage.ledger.amend(&[amendment]).await.unwrap()[0]
}

/// Returns once the store's clock has passed the instant.
async fn until(stage: &Stage<'_>, at: Timestamp) {
    while stage.ledger.now().await.unwrap() < at {
        tokio::task::yield_now().await;
    }
}

async fn a_key_is_one_delivery(ledger: &dyn Ledger) {
    let stage = stage(ledger, "keys").await;
    let (a, b) = (row(&stage, 0), row(&stage, 1));
    let (first, second) = (a.key.index(), b.key.index());
    let twice_in_one_call = append(&stage, &[a.clone(), a.clone()]).await;
    assert_eq!(twice_in_one_call, [Appended::Added(first), Appended::There(first)]);
    let appended = append(&stage, &[b.clone(), a.clone()]).await;
    assert_eq!(appended, [Appended::Added(second), Appended::There(first)]);
    let later = NewRow { due_at: a.due_at + HOUR, ..a.clone() };
    assert_eq!(append(&stage, &[later]).await, [Appended::There(first)], "its instant stands");
    let other_person = NewRow { key: a.key.clone(), ..b.clone() };
    let mut other_words = NewRow { body: Arc::from("other"), ..a.clone() };
    other_words.message.body = BodyHash::of("other");
    let refused = Appended::Refused(NotAppended::OtherRow);
    assert_eq!(append(&stage, &[other_person, other_words]).await, [refused, refused]);
    let keys = [b.key, RowKey::of("nobody's"), a.key.clone()];
    let found = ledger.by_keys(&stage.run, &keys).await.unwrap();
    assert_eq!(found, [Some(second), None, Some(first)]);
    assert!(ledger.by_keys(&stage.run, &[]).await.unwrap().is_empty());
    ledger.set_phase(&stage.run, Phase::Cancelled).await.unwrap();
    assert_eq!(append(&stage, &[a]).await, [Appended::There(first)], "also when the run is over");
    let counts = stage.counts().await;
    assert_eq!((counts.total(), counts.get(State::Planned)), (2, 2));
    assert_eq!(ledger.run(&stage.run).await.unwrap().unwrap().total(), 2);
}

async fn what_cannot_be_sent_is_not_appended(ledger: &dyn Ledger) {
    let stage = stage(ledger, "refused-rows").await;
    let (good, window) = (row(&stage, 0), stage.header.window);
    let now = ledger.now().await.unwrap();
    let moment = Duration::from_micros(1);
    let cases = [
        (NewRow { lane: 1, ..good.clone() }, NotAppended::Lane),
        (NewRow { due_at: window.opens - moment, ..good.clone() }, NotAppended::Due),
        (NewRow { due_at: window.deadline, ..good.clone() }, NotAppended::Due),
        (NewRow { expires_at: good.due_at, ..good.clone() }, NotAppended::Expiry),
        (NewRow { expires_at: now, ..good.clone() }, NotAppended::Expiry),
        (NewRow { expires_at: stage.header.stop_at + moment, ..good.clone() }, NotAppended::Expiry),
        (NewRow { body: Arc::from("other words"), ..good.clone() }, NotAppended::Body),
    ];
    let (rows, want): (Vec<NewRow>, Vec<Appended>) =
        cases.into_iter().map(|(row, why)| (row, Appended::Refused(why))).unzip();
    assert_eq!(append(&stage, &rows).await, want);
    assert_eq!(append(&stage, &[]).await, []);
    ledger.set_phase(&stage.run, Phase::Paused).await.unwrap();
    add(&stage, std::slice::from_ref(&good)).await; // it waits
    ledger.set_phase(&stage.run, Phase::Closed).await.unwrap();
    let over = Appended::Refused(NotAppended::RunOver);
    assert_eq!(append(&stage, &[row(&stage, 1)]).await, [over]);
    let planned = Stage::new(ledger, "not-rolling", 1).await;
    planned.plan().await;
    let new = NewRow { expires_at: planned.header.window.deadline, ..row(&planned, 5) };
    assert_eq!(append(&planned, &[new]).await, [over], "a plan is what it is");
    let far = |header: &mut RunHeader| {
        rolling(header);
        let shift = DAY * 91;
        header.window.opens = header.window.opens + shift;
        header.window.deadline = header.window.deadline + shift;
        header.stop_at = header.stop_at + shift;
        header.close_at = header.stop_at;
    };
    let far = Stage::with(ledger, "far-ahead", 0, far).await;
    ledger.begin_run(&far.header).await.unwrap();
    assert_eq!(append(&far, &[row(&far, 0)]).await, [Appended::Refused(NotAppended::Due)]);
}

async fn rows_are_sent_and_counted_as_any(ledger: &dyn Ledger) {
    let stage = stage(ledger, "rolls").await;
    let mut second = row(&stage, 1);
    (second.body, second.message.body) = (Arc::from("more"), BodyHash::of("more"));
    let first = add(&stage, &[row(&stage, 0), second]).await[0];
    let claims = stage.claim(5).await;
    let said: Vec<&str> = claims.iter().map(|claim| &*claim.body).collect();
    assert_eq!(said, ["body", "more"]);
    for (claim, nonce) in claims.iter().zip(1..) {
        assert_eq!(stage.intent(claim, nonce).await, IntentAnswer::Granted);
        stage.result(claim.id.index, nonce, accepted()).await;
    }
    append_one(&stage, row(&stage, 2)).await;
    let sent = Attempt { sent_at: Some(Timestamp::from_secs(5)), ..news(1) };
    stage.apply(first, sent).await;
    let counts = stage.counts().await;
    let states = [State::Sent, State::Accepted, State::Planned].map(|state| counts.get(state));
    assert_eq!(states, [1, 1, 1]);
    let listed = ledger.list(&stage.run, &Filter::default(), None, 10).await.unwrap();
    assert_eq!(listed.len(), 3);
    assert!(listed.iter().all(|delivery| delivery.expires_at == Some(stage.header.stop_at)));
}

async fn a_row_that_is_over_ends_and_holds_up_nobody(ledger: &dyn Ledger) {
    let stage = stage(ledger, "own-ends").await;
    let ends = ledger.now().await.unwrap() + SOON;
    let brief = |n| NewRow { expires_at: ends, ..row(&stage, n) };
    let rows = add(&stage, &[brief(0), brief(1), row(&stage, 2), brief(3)]).await;
    until(&stage, ends).await;
    let mut claims = stage.claim(1).await;
    for _ in 0..3 {
        claims.extend(stage.claim(1).await);
    }
    let claimed: Vec<u32> = claims.iter().map(|claim| claim.id.index).collect();
    assert_eq!(claimed, [rows[2]], "what is over is not in the way");
    ledger.set_phase(&stage.run, Phase::Paused).await.unwrap();
    while ledger.sweep(&stage.run, 10).await.unwrap().more {}
    let counts = stage.counts().await;
    assert_eq!((counts.get(State::Expired), counts.get(State::Leased)), (3, 1), "{counts:?}");
}

async fn nothing_is_granted_after_its_own_end(ledger: &dyn Ledger) {
    let stage = stage(ledger, "own-stop").await;
    let ends = ledger.now().await.unwrap() + SOON;
    append_one(&stage, NewRow { expires_at: ends, ..row(&stage, 0) }).await;
    let claim = stage.claim(1).await.remove(0);
    until(&stage, ends).await;
    let refused = IntentAnswer::Refused(Refusal::TooLate);
    assert_eq!(stage.intent(&claim, 1).await, refused);
}

async fn doubt_ends_with_the_row_and_not_with_the_run(ledger: &dyn Ledger) {
    let stage = stage(ledger, "own-doubt").await;
    let ends = ledger.now().await.unwrap() + SOON;
    append_one(&stage, NewRow { expires_at: ends, ..row(&stage, 0) }).await;
    let index = stage.fly(1).await;
    assert_eq!(stage.result(index, 1, Http::Ambiguous(Doubt::Timeout)).await, State::Ambiguous);
    until(&stage, ends).await;
    while stage.state(index).await == State::Ambiguous {
        ledger.sweep(&stage.run, 10).await.unwrap();
    }
    assert_eq!(stage.state(index).await, State::Unknown);
    stage.counts().await;
}

async fn what_was_not_sent_is_taken_back_by_its_key(ledger: &dyn Ledger) {
    let stage = stage(ledger, "cancel").await;
    let rows = add(&stage, &[row(&stage, 0), row(&stage, 1), row(&stage, 2)]).await;
    let flying = stage.fly(1).await;
    let leased = stage.claim(1).await.remove(0);
    assert_eq!([flying, leased.id.index], rows[..2]);
    assert_eq!(amend(&stage, flying, Change::Cancel).await, Amended::Refused(State::Intent));
    let cancelled = Amended::Done(State::Cancelled);
    assert_eq!(amend(&stage, rows[1], Change::Cancel).await, cancelled, "before its intent");
    let answer = IntentAnswer::Refused(Refusal::State(State::Cancelled));
    assert_eq!(stage.intent(&leased, 2).await, answer, "whoever holds it is refused");
    assert_eq!(amend(&stage, rows[2], Change::Cancel).await, cancelled);
    assert_eq!(amend(&stage, rows[2], Change::Cancel).await, Amended::Refused(State::Cancelled));
    assert_eq!(
        append(&stage, &[row(&stage, 2)]).await,
        [Appended::There(rows[2])],
        "it stays taken back"
    );
    assert!(stage.claim(5).await.is_empty());
    assert_eq!(stage.counts().await.get(State::Cancelled), 2);
}

async fn what_was_not_tried_is_moved(ledger: &dyn Ledger) {
    let stage = stage(ledger, "move").await;
    let now = ledger.now().await.unwrap();
    let tomorrow = now + DAY / 2;
    let brief = NewRow { expires_at: now + HOUR, ..row(&stage, 0) };
    let rows = add(&stage, &[brief, row(&stage, 1)]).await;
    let to = |due_at, expires_at| Change::Move { due_at, expires_at };
    let planned = State::Planned;
    assert_eq!(
        amend(&stage, rows[0], to(tomorrow, None)).await,
        Amended::Refused(planned),
        "its end"
    );
    let done = Amended::Done(planned);
    assert_eq!(amend(&stage, rows[0], to(tomorrow, Some(tomorrow + HOUR))).await, done);
    let early = to(stage.header.window.opens - HOUR, None);
    assert_eq!(amend(&stage, rows[0], early).await, Amended::Refused(planned));
    let claim = stage.claim(5).await.remove(0);
    assert_eq!(claim.id.index, rows[1], "the other one waits for tomorrow");
    assert_eq!(amend(&stage, rows[1], to(tomorrow, None)).await, done, "from under its lease");
    let answer = IntentAnswer::Refused(Refusal::State(planned));
    assert_eq!(stage.intent(&claim, 1).await, answer);
    assert_eq!(stage.next_due().await, Some(tomorrow));
    assert_eq!(amend(&stage, rows[1], to(now - HOUR / 2, None)).await, done, "and back");
    let index = stage.fly(2).await;
    assert_eq!(index, rows[1]);
    stage.result(index, 2, refused(FailureClass::Retryable)).await;
    let tried = Amended::Refused(State::RetryWait);
    assert_eq!(
        amend(&stage, rows[1], to(tomorrow, None)).await,
        tried,
        "what was tried is not moved"
    );
    stage.counts().await;
}

fn number(name: &str) -> NumberId {
    NumberId::try_new(name).unwrap()
}

async fn lanes_are_added_to_an_open_run(ledger: &dyn Ledger) {
    let stage = stage(ledger, "more-lanes").await;
    let spare = number("spare-more-lanes");
    let lanes = [spare.clone(), stage.lane.clone()];
    for _ in 0..2 {
        let run = ledger.add_lanes(&stage.run, &lanes).await.unwrap();
        assert_eq!(run.header.lanes, [stage.lane.clone(), spare.clone()], "each once, in order");
    }
    append_one(&stage, NewRow { lane: 1, ..row(&stage, 0) }).await;
    let claims = ledger.claim(&spare, 5).await.unwrap().claims;
    assert_eq!(claims.len(), 1);
    assert_eq!(claims[0].lane, spare);
    let read = ledger.run(&stage.run).await.unwrap().unwrap();
    assert_eq!(read.header.lanes.len(), 2);
}

/// Two lanes, `n` rows in the first.
async fn two_lanes<'a>(
    ledger: &'a dyn Ledger,
    case: &str,
    n: u32,
) -> (Stage<'a>, NumberId, Vec<u32>) {
    let stage = stage(ledger, case).await;
    let spare = number(&format!("spare-{case}"));
    ledger.add_lanes(&stage.run, std::slice::from_ref(&spare)).await.unwrap();
    let rows: Vec<NewRow> = (0..n).map(|n| row(&stage, n)).collect();
    let rows = add(&stage, &rows).await;
    (stage, spare, rows)
}

async fn what_waits_moves_to_another_lane_and_its_news_still_count(ledger: &dyn Ledger) {
    let (stage, spare, rows) = two_lanes(ledger, "rehome", 3).await;
    let first = stage.fly(1).await;
    stage.result(first, 1, refused(FailureClass::Retryable)).await;
    let pair = (&stage.lane, &spare);
    let some = rehome(ledger, &stage.run, pair, None, 2, None).await.unwrap();
    let middle = sorted(&rows)[1];
    assert_eq!(some, Rehomed { moved: 2, kept: 0, next: Some(middle) });
    let rest = rehome(ledger, &stage.run, pair, some.next, 2, None).await.unwrap();
    assert_eq!(rest, Rehomed { moved: 1, kept: 0, next: None });
    assert!(stage.claim(5).await.is_empty(), "the old lane is empty");
    let claims = ledger.claim(&spare, 5).await.unwrap().claims;
    assert_eq!(claims.len(), 3);
    let again = claims.iter().find(|claim| claim.id.index == first).unwrap();
    assert_eq!(again.attempts_spent, 1, "what was tried is known");
    assert_eq!(stage.intent(again, 2).await, IntentAnswer::Granted);
    let from = |nonce, number: &NumberId| {
        let news = Attempt { sent_at: Some(Timestamp::from_secs(5)), ..news(nonce) };
        let number = Some(number.clone());
        WebhookFact { number, ..WebhookFact::new(stage.id(first), news) }
    };
    let facts = [from(1, &spare), from(2, &number("stranger"))];
    let foreign = ledger.apply(&facts).await.unwrap();
    assert_eq!(foreign, [Applied::Foreign; 2], "an attempt went through one number");
    let facts = [from(2, &spare), from(1, &stage.lane)];
    let applied = ledger.apply(&facts).await.unwrap();
    let sent = Applied::Changed { from: State::Intent, to: State::Sent };
    assert_eq!(applied, [sent, Applied::Noted]);
    let found = ledger::api::find(ledger, &stage.id(first)).await.unwrap().unwrap();
    assert_eq!(found.lane, spare);
    assert!(found.facts.possible_duplicate(), "both attempts turned out to have gone");
    stage.counts().await;
}

async fn what_may_have_gone_stays_in_its_lane(ledger: &dyn Ledger) {
    let (stage, spare, _) = two_lanes(ledger, "stays", 3).await;
    let doubtful = stage.fly(1).await;
    stage.result(doubtful, 1, Http::Ambiguous(Doubt::Timeout)).await;
    assert_eq!(amend(&stage, doubtful, Change::Resend).await, Amended::Done(State::RetryWait));
    let leased = stage.claim(1).await.remove(0).id.index;
    assert_ne!(leased, doubtful, "a delivery that is put back is due later than the rest");
    let pair = (&stage.lane, &spare);
    let rehomed = rehome(ledger, &stage.run, pair, None, 10, None).await.unwrap();
    assert_eq!(rehomed, Rehomed { moved: 1, kept: 1, next: None });
    let lanes = [doubtful, leased].map(|index| stage.id(index));
    for id in lanes {
        let found = ledger::api::find(ledger, &id).await.unwrap().unwrap();
        assert_eq!(found.lane, stage.lane, "{id}");
    }
    let nowhere = number("nowhere");
    let pair = (&stage.lane, &nowhere);
    let rehomed = rehome(ledger, &stage.run, pair, None, 10, None).await.unwrap();
    assert_eq!(rehomed, Rehomed::default());
    stage.counts().await;
}

fn sorted(indexes: &[u32]) -> Vec<u32> {
    let mut sorted = indexes.to_vec();
    sorted.sort_unstable();
    sorted
}

async fn rows_are_found_by_person(ledger: &dyn Ledger) {
    let stage = stage(ledger, "people").await;
    let second = NewRow { key: RowKey::of("another"), ..row(&stage, 0) };
    let rows = add(&stage, &[row(&stage, 0), row(&stage, 1), second]).await;
    let person = |n| opt_outs::hashes(&row(&stage, n).message.to).next().unwrap();
    let find = async |people: &[String]| ledger.to_people(&stage.run, people).await.unwrap();
    assert_eq!(find(&[person(0)]).await, sorted(&[rows[0], rows[2]]));
    assert_eq!(find(&[person(7), person(1), person(0)]).await, sorted(&rows));
    assert!(find(&[]).await.is_empty());
}

async fn ends_that_need_a_person_are_listed(ledger: &dyn Ledger) {
    let (stage, _, rows) = two_lanes(ledger, "attention", 6).await;
    let failed = stage.fly(1).await;
    stage.result(failed, 1, refused(FailureClass::Rejected)).await;
    amend(&stage, rows[3], Change::Cancel).await;
    amend(&stage, rows[5], Change::Cancel).await;
    let list = async |states: &[State], after, limit| {
        let filter = Filter { states: states.to_vec(), lane: None };
        let found = ledger.list(&stage.run, &filter, after, limit).await.unwrap();
        found.iter().map(|view| view.id.index).collect::<Vec<u32>>()
    };
    let (failed_state, cancelled) = (State::Failed, State::Cancelled);
    let of = |which: &[usize]| sorted(&which.iter().map(|n| rows[*n]).collect::<Vec<u32>>());
    let three = of(&[0, 3, 5]);
    assert_eq!(list(&[failed_state, cancelled], None, 10).await, three);
    assert_eq!(list(&[failed_state, cancelled], Some(three[0]), 1).await, three[1..2]);
    assert_eq!(list(&[cancelled], None, 10).await, of(&[3, 5]));
    assert_eq!(list(&[cancelled, State::Planned], None, 10).await, of(&[1, 2, 3, 4, 5]));
    assert_eq!(amend(&stage, failed, Change::Requeue).await, Amended::Done(State::RetryWait));
    assert!(list(&[failed_state], None, 10).await.is_empty(), "it is put back");
    stage.counts().await;
}

async fn a_run_of_a_later_day_is_open_and_nothing_of_it_is_due(ledger: &dyn Ledger) {
    let tomorrow = |header: &mut RunHeader| {
        header.window.opens = header.window.opens + HOUR * 2;
        header.window.deadline = header.window.deadline + HOUR * 2;
        rolling(header);
    };
    let stage = Stage::with(ledger, "later", 0, tomorrow).await;
    ledger.begin_run(&stage.header).await.unwrap();
    let index = append_one(&stage, row(&stage, 3)).await;
    assert!(stage.claim(5).await.is_empty());
    assert_eq!(stage.next_due().await, Some(stage.header.window.opens));
    assert_eq!(amend(&stage, index, Change::Cancel).await, Amended::Done(State::Cancelled));
}

/// The store was put back to before a row was appended and sent. Whoever asked for the row asks
/// again, before or after hosts have said what became of it.
async fn a_forgotten_row_that_comes_back_meets_its_own_news(ledger: &dyn Ledger) {
    let stage = stage(ledger, "forgotten").await;
    let (sent, doubtful, failed) = (row(&stage, 0), row(&stage, 1), row(&stage, 2));
    let at = |row: &NewRow| row.key.index();
    let delivered = Attempt { delivered_at: Some(Timestamp::from_secs(9)), ..news(1) };
    let fact = WebhookFact {
        number: Some(stage.lane.clone()),
        ..WebhookFact::new(stage.id(at(&sent)), delivered.clone())
    };
    assert_eq!(ledger.apply(std::slice::from_ref(&fact)).await.unwrap(), [Applied::Forgotten]);
    assert_eq!(ledger.apply(&[fact]).await.unwrap(), [Applied::Stale]);
    assert_eq!(stage.state(at(&sent)).await, State::Delivered, "its news is kept");
    let lost = stage.result(at(&doubtful), 2, Http::Ambiguous(Doubt::Timeout)).await;
    assert_eq!(lost, State::Unknown, "nobody sends what nobody asks for");
    let refused = stage.result(at(&failed), 3, refused(FailureClass::Retryable)).await;
    assert_eq!(refused, State::Quarantined);
    assert!(stage.claim(5).await.is_empty());
    let found = ledger::api::find(ledger, &stage.id(at(&failed))).await.unwrap().unwrap();
    assert!(found.message.is_none() && found.damage.is_some(), "{found:?}");
    stage.counts().await;

    let rows = [sent, doubtful, failed, row(&stage, 3)];
    let appended = append(&stage, &rows).await;
    let [sent, doubtful, failed, new] = [0, 1, 2, 3].map(|n| at(&rows[n]));
    let there = [sent, doubtful, failed].map(Appended::There);
    assert_eq!(appended[..3], there);
    assert_eq!(appended[3], Appended::Added(new));
    assert_eq!(append(&stage, &rows[..3]).await, there, "again");
    let states = [State::Delivered, State::Ambiguous, State::RetryWait];
    for (index, state) in [sent, doubtful, failed].into_iter().zip(states) {
        assert_eq!(stage.state(index).await, state);
    }
    let claims = stage.claim(5).await;
    let claimed: Vec<u32> = claims.iter().map(|claim| claim.id.index).collect();
    assert_eq!(claimed, [failed, new], "only what cannot have gone is sent");
    assert_eq!(claims[0].attempts_spent, 1);
    assert_eq!(ledger.run(&stage.run).await.unwrap().unwrap().total(), 4);
    stage.counts().await;
}

/// Nobody is left who knows of rows that the store may have forgotten.
async fn an_older_row_of_a_doubted_run_may_have_been_sent(ledger: &dyn Ledger) {
    let stage = stage(ledger, "doubted-rows").await;
    add(&stage, &[row(&stage, 0)]).await;
    ledger.doubt_rows(&stage.run).await.unwrap();
    stage.tick().await;
    let older = NewRow { asked_ago: HOUR, ..row(&stage, 1) };
    let rows = add(&stage, &[older, row(&stage, 2)]).await;
    let found = ledger::api::find(ledger, &stage.id(rows[0])).await.unwrap().unwrap();
    assert!(found.facts.suspect);
    assert_eq!(stage.state(rows[1]).await, State::Planned, "nobody asked for it before");
    assert_eq!(stage.claim(5).await.len(), 2 + usize::from(found.state == State::Planned));
    stage.counts().await;
}

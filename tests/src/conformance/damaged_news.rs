//! A row of a rolling run that the store has forgotten, of which only news is known, and that news
//! cannot be read any more.

use domain::facts::Doubt;
use domain::{Attempt, DeliveryId, Http, State, Timestamp};
use ledger::{Appended, Ledger, WebhookFact};

use super::news;
use super::rolling::{append, row, stage};

/// What a damaged record still tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// Its state, so that counters follow what is done to it.
    State,
    /// Nothing: over Redis `ledger repair` counts anew.
    Nothing,
}

/// The news of a forgotten row cannot be read any more when whoever asked for the row asks again: that
/// is one row, which nobody sends, and not a second one beside it. `damage` spoils the record of a
/// delivery in the store.
pub async fn a_forgotten_row_whose_news_is_damaged_is_one_row(
    ledger: &dyn Ledger,
    case: &str,
    told: Told,
    damage: impl AsyncFn(&DeliveryId),
) {
    let stage = stage(ledger, case).await;
    for (n, meets_news_first) in [(0, true), (1, false)] {
        let row = row(&stage, n);
        let (at, key) = (row.key.index(), std::slice::from_ref(&row));
        stage.result(at, u64::from(n) + 1, Http::Ambiguous(Doubt::Timeout)).await;
        damage(&stage.id(at)).await;
        if meets_news_first {
            let sent = Attempt { sent_at: Some(Timestamp::from_secs(8)), ..news(7) };
            ledger.apply(&[WebhookFact::new(stage.id(at), sent)]).await.unwrap();
        }
        assert_eq!(append(&stage, key).await, [Appended::There(at)], "{case}, {meets_news_first}");
        assert_eq!(append(&stage, key).await, [Appended::There(at)], "again");
        let found = ledger::api::find(ledger, &stage.id(at)).await.unwrap().unwrap();
        assert!(found.message.is_some() && found.damage.is_some(), "{found:?}");
        assert!(found.facts.suspect, "what was tried is lost: {found:?}");
        assert!(!matches!(found.state, State::Planned | State::RetryWait), "{found:?}");
        assert!(stage.claim(5).await.is_empty(), "nobody sends what may have gone");
    }
    assert_eq!(ledger.run(&stage.run).await.unwrap().unwrap().total(), 2);
    if told == Told::State {
        stage.counts().await;
    }
}

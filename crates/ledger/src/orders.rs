//! At which share of its rate each number sends, by whose order, until when. One small cell, beside
//! [`crate::standing`]: a person or a keeper writes it, every sender heeds it within a quarter of a
//! second. The least share of all orders for a number counts.

use domain::{NumberId, Timestamp};
use serde::{Deserialize, Serialize};

use crate::api::Ledger;
use crate::cell;
use crate::error::Result;

const CELL: &str = "number_orders";

/// Who gives an order: one of each may stand for a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decider {
    Person,
    /// What Meta says of the number.
    Keeper,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    pub number: NumberId,
    pub decider: Decider,
    /// Of the number's rate; 0: it sends nothing.
    pub percent: u8,
    pub since: Timestamp,
    /// `None`: until it is taken back.
    pub until: Option<Timestamp>,
    /// Who, and why, in words.
    pub by: String,
    pub why: String,
}

impl Order {
    pub fn holds(&self, now: Timestamp) -> bool {
        self.until.is_none_or(|until| now < until)
    }
}

/// All orders.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Orders(Vec<Order>);

impl Orders {
    /// Of the number's rate, per cent.
    pub fn percent(&self, number: &NumberId, now: Timestamp) -> u8 {
        let mine = self.of(number).filter(|order| order.holds(now));
        mine.map(|order| order.percent).min().unwrap_or(100).min(100)
    }

    pub fn of<'a>(&'a self, number: &'a NumberId) -> impl Iterator<Item = &'a Order> {
        self.0.iter().filter(move |order| order.number == *number)
    }

    fn take(&mut self, number: &NumberId, decider: Decider) -> Option<Order> {
        let is = |order: &Order| order.number == *number && order.decider == decider;
        self.0.iter().position(is).map(|at| self.0.remove(at))
    }
}

/// # Errors
/// When the ledger does not answer.
pub async fn read(ledger: &dyn Ledger) -> Result<Orders> {
    cell::read(ledger, CELL).await
}

/// Gives an order in place of the same decider's for that number, and forgets those that are over.
///
/// # Errors
/// When the ledger does not answer.
pub async fn give(ledger: &dyn Ledger, order: &Order) -> Result<()> {
    cell::update(ledger, CELL, |orders: &mut Orders| {
        orders.0.retain(|held| held.holds(order.since));
        orders.take(&order.number, order.decider);
        orders.0.push(order.clone());
    })
    .await
}

/// Takes an order back; what it was.
///
/// # Errors
/// When the ledger does not answer.
pub async fn lift(
    ledger: &dyn Ledger,
    number: &NumberId,
    decider: Decider,
) -> Result<Option<Order>> {
    cell::update(ledger, CELL, |orders: &mut Orders| orders.take(number, decider)).await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(decider: Decider, percent: u8, until: Option<i64>) -> Order {
        Order {
            number: NumberId::try_new("1").unwrap(),
            decider,
            percent,
            since: Timestamp::from_secs(0),
            until: until.map(Timestamp::from_secs),
            by: String::new(),
            why: String::new(),
        }
    }

    #[test]
    fn the_least_share_that_still_holds_counts() {
        let orders =
            Orders(vec![order(Decider::Person, 0, Some(10)), order(Decider::Keeper, 50, None)]);
        let (one, other) = (NumberId::try_new("1").unwrap(), NumberId::try_new("2").unwrap());
        let at = |secs| orders.percent(&one, Timestamp::from_secs(secs));
        assert_eq!((at(9), at(10)), (0, 50));
        assert_eq!(orders.percent(&other, Timestamp::from_secs(9)), 100);
        assert_eq!(
            Orders(vec![order(Decider::Person, 250, None)]).percent(&one, Timestamp::MIN),
            100
        );
    }
}

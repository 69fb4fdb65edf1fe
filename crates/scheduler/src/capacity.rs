//! Does the plan fit the window? Answered before it opens, lane by lane.

use std::time::Duration;

use domain::{NumberId, Timestamp};

use crate::plan::Plan;

/// Share of a number's throughput that the plan counts on; the sender uses as much.
const USABLE: f64 = 0.95;

#[derive(Clone, Debug, PartialEq)]
pub struct LaneCapacity {
    pub number: NumberId,
    pub planned: u32,
    /// Messages a second.
    pub throughput: u32,
    /// When the last first attempt can go, at that rate.
    pub finishes_at: Timestamp,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Capacity {
    pub lanes: Vec<LaneCapacity>,
    /// First attempts must have gone by then.
    pub closes: Timestamp,
    /// Numbers like ours that the window needs.
    pub numbers_needed: u32,
}

impl Capacity {
    /// Simulates each lane: a delivery goes when it is due and its predecessor has gone.
    pub fn of(plan: &Plan<'_>) -> Self {
        let numbers = &plan.snapshot.campaign.numbers;
        let mut due: Vec<Vec<Timestamp>> = vec![Vec::new(); numbers.len()];
        for index in 0..plan.total() {
            let planned = plan.at(index);
            if let (Some(lane), Ok(_)) = (planned.lane, &planned.call) {
                due[usize::from(lane)].push(planned.due_at);
            }
        }
        let total: usize = due.iter().map(Vec::len).sum();
        let lanes: Vec<LaneCapacity> = numbers
            .iter()
            .zip(due)
            .map(|(number, due)| LaneCapacity {
                number: number.id.clone(),
                planned: u32::try_from(due.len()).unwrap_or(u32::MAX),
                throughput: number.throughput,
                finishes_at: finish(due, number.throughput, plan.window.opens),
            })
            .collect();
        let rates: f64 = numbers.iter().map(|number| f64::from(number.throughput)).sum();
        let each = rates / (numbers.len().max(1) as f64) * USABLE;
        let span = plan.window.closes.since(plan.window.opens).as_secs_f64();
        let numbers_needed = (total as f64 / (each * span).max(1.0)).ceil() as u32;
        Capacity { lanes, closes: plan.window.closes, numbers_needed }
    }

    /// Lanes that cannot finish before the window closes.
    pub fn overloaded(&self) -> Vec<&LaneCapacity> {
        self.lanes.iter().filter(|lane| lane.finishes_at > self.closes).collect()
    }

    pub fn fits(&self) -> bool {
        self.overloaded().is_empty()
    }
}

fn finish(mut due: Vec<Timestamp>, throughput: u32, opens: Timestamp) -> Timestamp {
    due.sort_unstable();
    let gap = Duration::from_secs_f64(1.0 / (f64::from(throughput.max(1)) * USABLE));
    due.into_iter().fold(opens, |free, due| free.max(due) + gap)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::tests::{at, campaign, content, recipient, window};
    use crate::snapshot::Snapshot;

    fn capacity(people: u32, throughput: u32) -> Capacity {
        let mut campaign = campaign();
        campaign.numbers.iter_mut().for_each(|number| number.throughput = throughput);
        let people = (0..people).map(recipient);
        let snapshot = Snapshot::take(campaign, people, vec![content("*")]).snapshot;
        let run = "daily-pack@2026-11-21".parse().unwrap();
        Capacity::of(&Plan::new(&snapshot, run, window(), at(900)))
    }

    #[test]
    fn a_plan_that_fits_finishes_with_its_last_delivery() {
        let capacity = capacity(2_000, 80);
        assert!(capacity.fits());
        assert!(capacity.lanes.iter().all(|lane| lane.finishes_at <= at(1_241)));
        assert_eq!(capacity.numbers_needed, 1);
    }

    #[test]
    fn a_plan_that_does_not_fit_names_its_lanes_and_what_it_needs() {
        // The third number has half of all: 2,000 at 0.95 × 5/s need 421 s of 300.
        let capacity = capacity(4_000, 5);
        let over: Vec<&str> = capacity.overloaded().iter().map(|l| l.number.as_str()).collect();
        assert_eq!(over, ["1003"]);
        assert_eq!(capacity.numbers_needed, 3);
    }
}

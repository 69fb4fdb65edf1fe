//! The goals beside what was measured.

use std::fmt::Write as _;

use super::{middle, number};
use crate::sample::Sample;

const ENGINES: [(&str, &str); 2] = [("redis", "subah, redis"), ("sqlite", "subah, sqlite")];

/// What is wanted of each engine, where the number comes from, and whether it is enough.
struct Goal {
    what: &'static str,
    wanted: &'static str,
    unit: &'static str,
    /// Of a contender; `None` when it was not measured.
    seen: fn(&Samples<'_>, &str) -> Option<f64>,
    met: fn(f64) -> bool,
    /// Where the time goes when it is missed, and what would lift it.
    bottleneck: &'static str,
}

/// By profiles of the daemon, and by the processor time in the table.
const DRAIN: &str = "Each message takes three durable steps in the ledger (claim, intent, result) and three notes in the journal; the bare loop takes none. Over sqlite half of the daemon's time is the ledger's writer: half of that is the commit (pages to the log, their sync), the rest statements and JSON; of the other half most is HTTP, as in the bare loop. Over Redis the server's time comes on top (in the table), and the journal's sync. What would lift it: the intent granted together with the claim (a third of the steps less, but the permit then comes before the claim), and records in binary.";
const GROWTH: &str = "Over Redis the server is the bottleneck of planning (see above), and its hash tables and sorted sets outgrow the caches of a processor that others use too. sqlite copies nothing from its log into its file below some thousand rows, and writes every page twice from there on. What would lift it: record and message of a delivery in one field; a longer log while planning, at the price of disk.";
const ENQUEUE: &str = "One row is two hash fields, an entry of a sorted set and a place in the append-only file; the server is busy with that all the time while we make the next rows beside it, and raw Lua with one field and one entry a row reaches less than twice as much. At 20,000 it is five times BullMQ, at 100,000 four. What would lift it: record and message in one field, and larger chunks (a sync for each thousand rows).";
const LATE: &str = "Over Redis a dispatch waits for a look at what is due, the claim, the journal's sync and the intent, one after the other, and two of the server's syncs; and a timer's tick is a millisecond. What would lift it: claiming some milliseconds before the instant and holding the request until then.";

const GOALS: [Goal; 17] = [
    Goal {
        what: "plan and queue, against BullMQ `addBulk`",
        wanted: "≥ 5 ×",
        unit: " ×",
        seen: |all, us| all.ratio("enqueue", us, "BullMQ"),
        met: |r| r >= 5.0,
        bottleneck: ENQUEUE,
    },
    Goal {
        what: "bytes of a pending delivery in Redis, its message apart",
        wanted: "≤ 400 B",
        unit: " B",
        seen: |all, us| all.get("enqueue", us, "bytes_each_without_message"),
        met: |b| b <= 400.0,
        bottleneck: "",
    },
    Goal {
        what: "drain, against BullMQ and fetch",
        wanted: "≥ 2 ×",
        unit: " ×",
        seen: |all, us| all.ratio("drain", us, "BullMQ"),
        met: |r| r >= 2.0,
        bottleneck: "",
    },
    Goal {
        what: "drain, against the bare loop",
        wanted: "≥ 0.5 ×",
        unit: " ×",
        seen: |all, us| all.ratio("drain", us, "bare loop"),
        met: |r| r >= 0.5,
        bottleneck: DRAIN,
    },
    Goal {
        what: "lateness p99 of 2,000",
        wanted: "≤ 5 ms",
        unit: " ms",
        seen: |all, us| all.late("2,000", us),
        met: |ms| ms <= 5.0,
        bottleneck: LATE,
    },
    Goal {
        what: "lateness p99 of 20,000 over 30 s",
        wanted: "≤ 5 ms",
        unit: " ms",
        seen: |all, us| all.late("20,000", us),
        met: |ms| ms <= 5.0,
        bottleneck: LATE,
    },
    Goal {
        what: "lateness p99 of 900/s on one number of 1,000/s",
        wanted: "≤ 5 ms",
        unit: " ms",
        seen: |all, us| all.late("900/s", us),
        met: |ms| ms <= 5.0,
        bottleneck: LATE,
    },
    Goal {
        what: "messages before their instant",
        wanted: "0",
        unit: "",
        seen: |all, us| all.worst("lateness", us, "early"),
        met: |n| n == 0.0,
        bottleneck: "",
    },
    Goal {
        what: "webhooks while sending",
        wanted: "≥ 10,000/s",
        unit: "/s",
        seen: |all, us| all.get("webhooks", us, "rate_per_s"),
        met: |r| r >= 10_000.0,
        bottleneck: "",
    },
    Goal {
        what: "their p99",
        wanted: "≤ 50 ms",
        unit: " ms",
        seen: |all, us| all.get("webhooks", us, "p99_ms"),
        met: |ms| ms <= 50.0,
        bottleneck: "",
    },
    Goal {
        what: "accepted before the window closes",
        wanted: "100 %",
        unit: " %",
        seen: |all, us| all.in_time(us),
        met: |p| p >= 100.0,
        bottleneck: "",
    },
    Goal {
        what: "peak memory of the daemon then",
        wanted: "≤ 1 GiB",
        unit: " MiB",
        seen: |all, us| all.get("million", us, "daemon_peak_mib"),
        met: |m| m <= 1024.0,
        bottleneck: "",
    },
    Goal {
        what: "planning time each, dearest size against cheapest",
        wanted: "≤ 1.2 ×",
        unit: " ×",
        seen: |all, us| all.growth(us, "plan_us_each"),
        met: |r| r <= 1.2,
        bottleneck: GROWTH,
    },
    Goal {
        what: "rows of a list read and checked",
        wanted: "≥ 200,000/s",
        unit: "/s",
        seen: |all, us| all.import(us, "rows_per_s"),
        met: |n| n >= 200_000.0,
        bottleneck: "",
    },
    Goal {
        what: "memory for it",
        wanted: "≤ 256 MiB",
        unit: " MiB",
        seen: |all, us| all.import(us, "peak_mib"),
        met: |m| m <= 256.0,
        bottleneck: "",
    },
    Goal {
        what: "memory at rest",
        wanted: "≤ 40 MiB",
        unit: " MiB",
        seen: |all, us| all.get("rest", us, "memory_mib"),
        met: |m| m <= 40.0,
        bottleneck: "",
    },
    Goal {
        what: "processor at rest",
        wanted: "≤ 1 %",
        unit: " %",
        seen: |all, us| all.get("rest", us, "cpu_percent"),
        met: |p| p <= 1.0,
        bottleneck: "",
    },
];

pub fn write(samples: &[Sample], page: &mut String) {
    let all = Samples(samples);
    let mut missed = Vec::new();
    page.push_str("| goal | wanted | measured | |\n| --- | --- | ---: | --- |\n");
    for goal @ Goal { what, wanted, unit, .. } in &GOALS {
        for (engine, contender) in ENGINES {
            let Some(value) = (goal.seen)(&all, contender) else { continue };
            let is_met = (goal.met)(value);
            let verdict = if is_met { "met" } else { "**missed**" };
            let value = number(value);
            let _ = writeln!(page, "| {what}, {engine} | {wanted} | {value}{unit} | {verdict} |");
            if !is_met && !goal.bottleneck.is_empty() {
                missed.push((what, goal.bottleneck));
            }
        }
    }
    missed.dedup_by_key(|(_, bottleneck)| *bottleneck);
    for (what, bottleneck) in missed {
        let _ = writeln!(page, "\n**Missed: {what}.** {bottleneck}");
    }
    page.push('\n');
}

struct Samples<'a>(&'a [Sample]);

impl Samples<'_> {
    /// The middle of a metric's rounds, whatever the case.
    fn get(&self, measure: &str, contender: &str, metric: &str) -> Option<f64> {
        middle(self.0, (measure, ""), contender, metric)
    }

    /// Lists are read before any store is asked: told once.
    fn import(&self, contender: &str, metric: &str) -> Option<f64> {
        let once = contender.ends_with("sqlite");
        once.then(|| middle(self.0, ("import", "read and checked"), "subah", metric)).flatten()
    }

    fn ratio(&self, measure: &str, ours: &str, theirs: &str) -> Option<f64> {
        let rate = |contender: &str| self.get(measure, contender, "rate_per_s");
        Some(rate(ours)? / rate(theirs)?)
    }

    fn worst(&self, measure: &str, contender: &str, metric: &str) -> Option<f64> {
        let all = self.0.iter().filter(|s| s.measure == measure && s.metric == metric);
        all.filter(|s| s.contender == contender).map(|s| s.value).reduce(f64::max)
    }

    /// Of the first case whose name begins so.
    fn late(&self, begins: &str, contender: &str) -> Option<f64> {
        let of = |s: &&Sample| s.measure == "lateness" && s.case.starts_with(begins);
        let case = &self.0.iter().find(of)?.case;
        middle(self.0, ("lateness", case), contender, "p99_ms")
    }

    /// Percent of those that were planned.
    fn in_time(&self, contender: &str) -> Option<f64> {
        let planned = self.0.iter().find(|s| s.measure == "million")?;
        let n: f64 = planned.case.split(' ').next()?.parse().ok()?;
        Some(100.0 * self.get("million", contender, "accepted_before_close")? / n)
    }

    /// The dearest size's middle against the cheapest one's.
    fn growth(&self, contender: &str, metric: &str) -> Option<f64> {
        let of = self.0.iter().filter(|s| s.measure == "growth");
        let cases: std::collections::BTreeSet<&str> = of.map(|s| s.case.as_str()).collect();
        let each = |case: &&str| middle(self.0, ("growth", case), contender, metric);
        let each: Vec<f64> = cases.iter().filter_map(each).collect();
        let most = each.iter().copied().reduce(f64::max)?;
        Some(most / each.iter().copied().reduce(f64::min)?)
    }
}

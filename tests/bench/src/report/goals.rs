//! The goals beside what was measured.

use std::fmt::Write as _;

use super::{middle, number};
use crate::sample::Sample;

const REDIS: &str = "subah, redis";
const SQLITE: &str = "subah, sqlite";

/// One line of the table: what is wanted, what was seen, whether that is enough. Engines
/// that were not measured are left out.
struct Goal {
    what: &'static str,
    wanted: &'static str,
    seen: Option<(f64, &'static str)>,
    met: fn(f64) -> bool,
}

pub fn write(samples: &[Sample], page: &mut String) {
    page.push_str("| goal | wanted | measured | |\n| --- | --- | ---: | --- |\n");
    for goal in goals(samples) {
        let Some((value, unit)) = goal.seen else { continue };
        let verdict = if (goal.met)(value) { "met" } else { "**missed**" };
        let _ = writeln!(
            page,
            "| {} | {} | {}{unit} | {verdict} |",
            goal.what,
            goal.wanted,
            number(value)
        );
    }
    page.push('\n');
}

fn goals(samples: &[Sample]) -> Vec<Goal> {
    let get = |measure: &str, contender: &str, metric: &str| {
        middle(samples, (measure, ""), contender, metric)
    };
    let case =
        |at: (&str, &str), contender: &str, metric: &str| middle(samples, at, contender, metric);
    let ratio = |measure: &str, ours: &str, theirs: &str| {
        let ratio = get(measure, ours, "rate_per_s")? / get(measure, theirs, "rate_per_s")?;
        Some((ratio, " ×"))
    };
    let worst = |metric: &str, contender: &str| {
        let values = samples
            .iter()
            .filter(|s| s.measure == "lateness" && s.contender == contender && s.metric == metric);
        values.map(|s| s.value).reduce(f64::max)
    };
    let late = |wanted: &'static str, name: &str, contender: &str| {
        let found = samples.iter().find(|s| s.measure == "lateness" && s.case.starts_with(name));
        let at = ("lateness", found.map_or("", |s| s.case.as_str()));
        let seen = found.and_then(|_| case(at, contender, "p99_ms")).map(|ms| (ms, " ms"));
        Goal { what: wanted, wanted: "≤ 5 ms", seen, met: |ms| ms <= 5.0 }
    };
    let million = |contender: &str| {
        let planned = samples.iter().find(|s| s.measure == "million")?;
        let n: f64 = planned.case.split(' ').next()?.parse().ok()?;
        let in_time = get("million", contender, "accepted_before_close")?;
        Some((100.0 * in_time / n, " %"))
    };
    let linear = |contender: &str, metric: &str| {
        let first = samples.iter().find(|s| s.measure == "growth")?;
        let last = samples.iter().rev().find(|s| s.measure == "growth")?;
        let small = case(("growth", &first.case), contender, metric)?;
        Some((case(("growth", &last.case), contender, metric)? / small, " ×"))
    };
    let with = |value: Option<f64>, unit| value.map(|value| (value, unit));
    vec![
        Goal {
            what: "plan and queue, redis, against BullMQ `addBulk`",
            wanted: "≥ 5 ×",
            seen: ratio("enqueue", REDIS, "BullMQ"),
            met: |r| r >= 5.0,
        },
        Goal {
            what: "plan and queue, sqlite, against BullMQ `addBulk`",
            wanted: "≥ 5 ×",
            seen: ratio("enqueue", SQLITE, "BullMQ"),
            met: |r| r >= 5.0,
        },
        Goal {
            what: "bytes of a pending delivery in Redis, its message apart",
            wanted: "≤ 400 B",
            seen: with(get("enqueue", REDIS, "bytes_each_without_message"), " B"),
            met: |b| b <= 400.0,
        },
        Goal {
            what: "drain, redis, against BullMQ and fetch",
            wanted: "≥ 2 ×",
            seen: ratio("drain", REDIS, "BullMQ"),
            met: |r| r >= 2.0,
        },
        Goal {
            what: "drain, sqlite, against BullMQ and fetch",
            wanted: "≥ 2 ×",
            seen: ratio("drain", SQLITE, "BullMQ"),
            met: |r| r >= 2.0,
        },
        Goal {
            what: "drain, redis, against the bare loop",
            wanted: "≥ 0.5 ×",
            seen: ratio("drain", REDIS, "bare loop"),
            met: |r| r >= 0.5,
        },
        Goal {
            what: "drain, sqlite, against the bare loop",
            wanted: "≥ 0.5 ×",
            seen: ratio("drain", SQLITE, "bare loop"),
            met: |r| r >= 0.5,
        },
        late("lateness p99 of 2,000, redis", "2,000", REDIS),
        late("lateness p99 of 2,000, sqlite", "2,000", SQLITE),
        late("lateness p99 of 20,000 over 30 s, redis", "20,000", REDIS),
        late("lateness p99 of 20,000 over 30 s, sqlite", "20,000", SQLITE),
        Goal {
            what: "messages before their instant, redis",
            wanted: "0",
            seen: with(worst("early", REDIS), ""),
            met: |n| n == 0.0,
        },
        Goal {
            what: "messages before their instant, sqlite",
            wanted: "0",
            seen: with(worst("early", SQLITE), ""),
            met: |n| n == 0.0,
        },
        Goal {
            what: "webhooks while sending, redis",
            wanted: "≥ 10,000/s",
            seen: with(get("webhooks", REDIS, "rate_per_s"), "/s"),
            met: |r| r >= 10_000.0,
        },
        Goal {
            what: "webhooks while sending, sqlite",
            wanted: "≥ 10,000/s",
            seen: with(get("webhooks", SQLITE, "rate_per_s"), "/s"),
            met: |r| r >= 10_000.0,
        },
        Goal {
            what: "their p99, redis",
            wanted: "≤ 50 ms",
            seen: with(get("webhooks", REDIS, "p99_ms"), " ms"),
            met: |ms| ms <= 50.0,
        },
        Goal {
            what: "their p99, sqlite",
            wanted: "≤ 50 ms",
            seen: with(get("webhooks", SQLITE, "p99_ms"), " ms"),
            met: |ms| ms <= 50.0,
        },
        Goal {
            what: "accepted before the window closes, redis",
            wanted: "100 %",
            seen: million(REDIS),
            met: |p| p >= 100.0,
        },
        Goal {
            what: "accepted before the window closes, sqlite",
            wanted: "100 %",
            seen: million(SQLITE),
            met: |p| p >= 100.0,
        },
        Goal {
            what: "peak memory of the daemon then, redis",
            wanted: "≤ 1 GiB",
            seen: with(get("million", REDIS, "daemon_peak_mib"), " MiB"),
            met: |m| m <= 1024.0,
        },
        Goal {
            what: "peak memory of the daemon then, sqlite",
            wanted: "≤ 1 GiB",
            seen: with(get("million", SQLITE, "daemon_peak_mib"), " MiB"),
            met: |m| m <= 1024.0,
        },
        Goal {
            what: "planning time each, largest against smallest, redis",
            wanted: "≤ 1.2 ×",
            seen: linear(REDIS, "plan_us_each"),
            met: |r| r <= 1.2,
        },
        Goal {
            what: "planning time each, largest against smallest, sqlite",
            wanted: "≤ 1.2 ×",
            seen: linear(SQLITE, "plan_us_each"),
            met: |r| r <= 1.2,
        },
        Goal {
            what: "memory at rest, redis",
            wanted: "≤ 40 MiB",
            seen: with(get("rest", REDIS, "memory_mib"), " MiB"),
            met: |m| m <= 40.0,
        },
        Goal {
            what: "memory at rest, sqlite",
            wanted: "≤ 40 MiB",
            seen: with(get("rest", SQLITE, "memory_mib"), " MiB"),
            met: |m| m <= 40.0,
        },
        Goal {
            what: "processor at rest, redis",
            wanted: "≤ 1 %",
            seen: with(get("rest", REDIS, "cpu_percent"), " %"),
            met: |p| p <= 1.0,
        },
        Goal {
            what: "processor at rest, sqlite",
            wanted: "≤ 1 %",
            seen: with(get("rest", SQLITE, "cpu_percent"), " %"),
            met: |p| p <= 1.0,
        },
    ]
}

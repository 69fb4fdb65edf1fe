//! RESULTS.md from the samples: a table for each measure, and the goals, met or not.

mod goals;
mod plot;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context, Result};

use crate::sample::{Sample, median};

/// Measures in the order of the page: name, heading, what was done.
const MEASURES: [(&str, &str, &str); 9] = [
    (
        "enqueue",
        "Plan and queue",
        "One run planned (Subah) or one job each added in chunks of 500 (BullMQ `addBulk`, apalis-redis) or one by one (dramatiq has no bulk, so it adds a twentieth), due in an hour. `raw Lua` is a hash and a sorted set, nothing else, in chunks of 500. Bytes are what `used_memory` grew by, or the size of the sqlite file.",
    ),
    (
        "drain",
        "Drain with HTTP",
        "Everything due (Subah's within the first second), 100 requests under way, posted to a sink that answers at once; from the first to the last arrival by the sink's clock. Subah keeps its whole ledger, journal and pace meanwhile; the bare loop keeps nothing. dramatiq, one process of 100 threads, drains a twentieth, and apalis-redis 7,000: version 1.0.0 cannot fetch from more than about 8,000 due jobs. With `appendfsync always` every job of BullMQ and dramatiq waits for syncs of its own; both are often run with `everysec`, which may lose a second.",
    ),
    (
        "lateness",
        "Lateness",
        "Arrival at the sink less the instant it was due. `early` counts messages before their instant. apalis-redis plans by whole seconds and looks for what is due at its heartbeat, here ten times a second. 100 under way for everyone; the larger cases without dramatiq and apalis-redis, which cannot post so many; A number of 1,000/s is used at 95 %, so it is given 900/s; BullMQ's limiter stands at 1,000/s there. The five real minutes are one round, both engines at once.",
    ),
    (
        "webhooks",
        "Webhooks",
        "One signed status a body, each about another delivery, 64 requests under way from another process: signature checked, appended to the inbox, fsynced, answered; while the same process sends 300 messages/s. `applied` is the rate until the last one is in the ledger.",
    ),
    (
        "million",
        "The million",
        "`subah run` against `subah simulate` on the same two cores: six numbers of 1,000/s, 60 ms an answer, every status reported as Meta does. Seconds count from the opening of the window. One round.",
    ),
    (
        "growth",
        "How cost grows",
        "Planning n recipients in a process of its own: time, peak memory of the process, and the store, for each recipient.",
    ),
    (
        "import",
        "Import of a list",
        "`subah recipients import` of a CSV file in a process of its own: encoding, quotes, every cell, phone numbers, one row a person. *Read and checked* is `--dry-run`; *stored* also compares with what is stored (nothing here), writes every row into the records (a sqlite file; a real PostgreSQL) in one transaction, and syncs. *Planned* is `subah plan` of all of them for tomorrow, with the records that hold the list, and without any: what their being asked costs.",
    ),
    (
        "outage",
        "After a store outage",
        "Redis is killed half a second before everything falls due and comes back after a while; seconds count from its first answer. One round. The first message waits for the recovery (every host merges what it knows).",
    ),
    (
        "rest",
        "At rest",
        "`subah serve` with 2,000 recipients whose window opens in an hour. Cold start is from the process's start until it is ready; *after* a journal, beside what an earlier sender has written and settled.",
    ),
];

/// # Errors
/// When the folder cannot be written.
pub fn write(samples: &[Sample], to: &Path, machine: &str) -> Result<()> {
    let mut page = String::from("# Speed and scale\n\n");
    let _ = writeln!(page, "Written by `tests/bench/run`. {machine}\n");
    page.push_str("Each value is the median of its rounds, smallest and largest in brackets; contenders took turns, another one first each round, on the same machine with the same Redis settings (`appendfsync always`, no snapshots). Compare ratios, not absolute numbers: the machine is shared.\n\n");
    goals::write(samples, &mut page);
    let plots = to.join("plots");
    std::fs::create_dir_all(&plots).with_context(|| format!("make {}", plots.display()))?;
    for (measure, heading, words) in MEASURES {
        let of: Vec<&Sample> = samples.iter().filter(|s| s.measure == measure).collect();
        if of.is_empty() {
            continue;
        }
        let stamps: BTreeSet<&str> = of.iter().map(|s| s.of.as_str()).collect();
        let stamps = Vec::from_iter(stamps).join(", ");
        let _ = writeln!(page, "## {heading}\n\n{words} Measured on {stamps}.\n");
        for case in cases(&of) {
            table(&of, &case, &mut page);
        }
        for name in plot::draw(measure, &of, &plots)? {
            let _ = writeln!(page, "![{heading}](plots/{name})\n");
        }
    }
    let path = to.join("RESULTS.md");
    std::fs::write(&path, page).with_context(|| format!("write {}", path.display()))
}

/// In order of appearance.
fn cases(samples: &[&Sample]) -> Vec<String> {
    let mut seen = BTreeSet::new();
    let first = samples.iter().filter(|s| seen.insert(s.case.clone()));
    first.map(|s| s.case.clone()).collect()
}

fn table(samples: &[&Sample], case: &str, page: &mut String) {
    let mut metrics: Vec<&str> = Vec::new();
    let mut rows: BTreeMap<&str, BTreeMap<&str, Vec<f64>>> = BTreeMap::new();
    for sample in samples.iter().filter(|s| s.case == case) {
        if !metrics.contains(&sample.metric.as_str()) {
            metrics.push(&sample.metric);
        }
        let row = rows.entry(&sample.contender).or_default();
        row.entry(&sample.metric).or_default().push(sample.value);
    }
    let heads: Vec<String> = metrics.iter().map(|metric| metric.replace('_', " ")).collect();
    let _ = writeln!(page, "| {case} | {} |", heads.join(" | "));
    let _ = writeln!(page, "| --- |{}", " ---: |".repeat(metrics.len()));
    for (contender, values) in rows {
        let cell = |metric: &&str| values.get(metric).map_or_else(|| "–".to_owned(), |v| cell(v));
        let cells: Vec<String> = metrics.iter().map(cell).collect();
        let _ = writeln!(page, "| {contender} | {} |", cells.join(" | "));
    }
    page.push('\n');
}

fn cell(values: &[f64]) -> String {
    match median(values) {
        None => "–".to_owned(),
        Some((middle, first, last)) if first == last => number(middle),
        Some((middle, first, last)) => {
            format!("{} ({}–{})", number(middle), number(first), number(last))
        }
    }
}

/// Three digits that matter, thousands apart.
pub fn number(value: f64) -> String {
    if value.abs() >= 1_000.0 {
        let digits = format!("{:.0}", value.abs());
        let grouped: Vec<&str> = digits
            .as_bytes()
            .rchunks(3)
            .rev()
            .map(|c| std::str::from_utf8(c).unwrap_or(""))
            .collect();
        return format!("{}{}", if value < 0.0 { "−" } else { "" }, grouped.join(","));
    }
    match value.abs() {
        size if size >= 100.0 || size == size.trunc() => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

/// The middle of a metric's rounds.
pub fn middle(samples: &[Sample], at: (&str, &str), contender: &str, metric: &str) -> Option<f64> {
    let (measure, case) = at;
    let values: Vec<f64> = samples
        .iter()
        .filter(|s| s.measure == measure && (case.is_empty() || s.case == case))
        .filter(|s| s.contender == contender && s.metric == metric)
        .map(|s| s.value)
        .collect();
    median(&values).map(|(middle, ..)| middle)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        let words = [1_234_567.0, 999.6, 123.4, 12.34, 1.234, 0.0, 5.0].map(number);
        assert_eq!(words, ["1,234,567", "1000", "123", "12.3", "1.23", "0", "5"]);
        assert_eq!(cell(&[1.0, 3.0, 2.0]), "2 (1–3)");
        assert_eq!(cell(&[2.5]), "2.50");
    }
}

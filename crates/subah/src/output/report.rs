//! The report as text.

use status::Report;
use status::sla::Verdict;

/// The report as a person on duty reads it.
pub fn report_text(report: &Report, verdict: &Verdict) -> String {
    let mut text = String::new();
    let mut line = |part: String| {
        text.push_str(&part);
        text.push('\n');
    };
    let percent = report.sla.ratio * 100.0;
    line(format!("{}  ({}, {} planned)", report.run, report.engine, report.planned));
    let so_far = match verdict {
        Verdict::Met | Verdict::Missed => "delivered by the deadline",
        _ => "delivered so far",
    };
    line(format!(
        "SLA {verdict}: {} of {} {so_far} = {percent:.2} % (target {:.0} %)",
        report.by_deadline.delivered,
        report.sla.denominator,
        report.sla.target * 100.0
    ));
    if let Verdict::OnTrack { expected: Some(at) } = verdict {
        line(format!("Expected      all that is promised by {at}"));
    }
    line(String::new());
    line(format!(
        "Window        opens {}   target {}",
        clock(&report.window.opens),
        clock(&report.window.target)
    ));
    line(format!(
        "              closes {}  deadline {}",
        clock(&report.window.closes),
        clock(&report.window.deadline)
    ));
    how_it_went(report, &mut line);
    text
}

fn how_it_went(report: &Report, line: &mut impl FnMut(String)) {
    let by = &report.by_deadline;
    line(format!(
        "By deadline   {} accepted, {} sent, {} delivered",
        by.accepted, by.sent, by.delivered
    ));
    let states: Vec<String> =
        report.states.iter().filter(|(_, n)| *n > 0).map(|(s, n)| format!("{n} {s}")).collect();
    line(format!("Now           {}", states.join(", ")));
    let a = &report.attempts;
    line(format!(
        "Attempts      {}: {} accepted, {} refused, {} ambiguous, {} not sent",
        a.total, a.accepted, a.refused, a.ambiguous, a.not_sent
    ));
    let l = &report.lateness_ms;
    line(format!(
        "Lateness      p50 {} ms, p99 {} ms, max {} ms, {} early",
        l.p50, l.p99, l.max, l.early
    ));
    if !report.misses.is_empty() {
        let misses: Vec<String> = report
            .misses
            .iter()
            .map(|m| format!("{} {}", m.count, m.cause.replace('_', " ")))
            .collect();
        line(format!("Misses        {}", misses.join(", ")));
    }
    let twice = &report.duplicates;
    if twice.possible > 0 {
        line(format!(
            "Twice         {} possibly, of these {} surely: `subah deliveries list --twice`",
            twice.possible, twice.proven
        ));
    }
    for number in &report.numbers {
        line(format!(
            "Number        {}: {} of {} accepted",
            number.id, number.accepted, number.planned
        ));
    }
    if let Some(o) = &report.oracle {
        line(format!(
            "Far side      {} requests, {} accepted for {} deliveries, {} duplicates, {} lost",
            o.requests, o.accepted, o.distinct_deliveries, o.duplicates, o.lost
        ));
    }
}

/// The time of day in an RFC 3339 text.
fn clock(text: &str) -> &str {
    text.split_once('T').map_or(text, |(_, time)| time)
}

//! The report as one HTML page without scripts: opens on a phone, prints on paper.

use status::Report;

const STYLE: &str = "\
body{font:16px/1.5 system-ui,sans-serif;max-width:46rem;margin:2rem auto;padding:0 1rem;color:#1a1a1a}
h1{font-size:1.4rem} h2{font-size:1rem;margin:1.6rem 0 .4rem;color:#555}
.verdict{padding:1rem;border-radius:.5rem;color:#fff;font-size:1.2rem}
.met{background:#1a7f37} .missed{background:#b42318}
table{border-collapse:collapse;width:100%} td{padding:.15rem .4rem} td.n{text-align:right;width:5rem}
td.b{width:55%} .bar{background:#4a7ebb;height:.8rem;border-radius:.2rem}
";

/// The whole page.
pub fn page(report: &Report) -> String {
    let (class, verdict) = if report.sla.met { ("met", "met") } else { ("missed", "missed") };
    let (by, l) = (&report.by_deadline, &report.lateness_ms);
    let oracle = report.oracle.map_or(String::new(), |o| {
        format!(
            "<p>The far side saw {} requests and took {} for {} deliveries: \
             <b>{} duplicates, {} lost</b>.</p>",
            o.requests, o.accepted, o.distinct_deliveries, o.duplicates, o.lost
        )
    });
    format!(
        r#"<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{run}</title><style>
{STYLE}</style></head><body>
<h1>{run}</h1>
<p class="verdict {class}">SLA {verdict}: {delivered} of {denominator} delivered by the deadline, {percent:.2} %</p>
<p>{engine}; planned {planned}. Opens {opens}, target {target}, closes {closes}, deadline {deadline}.
Lateness of dispatch: p50 {p50} ms, p99 {p99} ms, max {max} ms, {early} early.</p>
{oracle}
{tables}</body></html>
"#,
        run = escape(&report.run),
        delivered = by.delivered,
        denominator = report.sla.denominator,
        percent = report.sla.ratio * 100.0,
        engine = escape(&report.engine),
        planned = report.planned,
        opens = escape(&report.window.opens),
        target = escape(&report.window.target),
        closes = escape(&report.window.closes),
        deadline = escape(&report.window.deadline),
        p50 = l.p50,
        p99 = l.p99,
        max = l.max,
        early = l.early,
        tables = tables(report),
    )
}

fn tables(report: &Report) -> String {
    let named = |name: &str, n: u64| (name.to_owned(), n);
    let (a, by) = (&report.attempts, &report.by_deadline);
    let ladder = vec![
        named("accepted", by.accepted),
        named("sent", by.sent),
        named("delivered", by.delivered),
    ];
    let attempts = vec![
        named("accepted", a.accepted),
        named("refused", a.refused),
        named("ambiguous", a.ambiguous),
        named("not sent", a.not_sent),
    ];
    let states = report.states.iter().filter(|(_, n)| *n > 0).map(|(s, n)| (s.to_string(), *n));
    let misses = report.misses.iter().map(|miss| named(&miss.cause, miss.count));
    let numbers = report.numbers.iter().map(|number| named(&number.id, number.accepted));
    let tables = [
        ("By the deadline", ladder, report.planned),
        ("States now", states.collect(), report.planned),
        ("Why it was missed", misses.collect(), report.sla.denominator - by.delivered),
        ("Attempts", attempts, a.total),
        ("Accepted by number", numbers.collect(), report.planned),
    ];
    let table = |(head, rows, whole): &(&str, Vec<(String, u64)>, u64)| {
        format!("<h2>{head}</h2>{}\n", bars(rows, *whole))
    };
    tables.iter().map(table).collect()
}

/// A table with a bar for each row, as long as its share of `whole`.
fn bars(rows: &[(String, u64)], whole: u64) -> String {
    if rows.is_empty() {
        return "<p>nothing</p>".to_owned();
    }
    let row = |(name, n): &(String, u64)| {
        let share = *n as f64 * 100.0 / whole.max(1) as f64;
        let name = escape(&name.replace('_', " "));
        format!(
            "<tr><td>{name}</td><td class=\"n\">{n}</td><td class=\"b\">\
             <div class=\"bar\" style=\"width:{share:.1}%\"></div></td></tr>"
        )
    };
    format!("<table>{}</table>", rows.iter().map(row).collect::<String>())
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

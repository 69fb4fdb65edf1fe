//! Plots: horizontal bars of medians, plain SVG.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context, Result};

use super::{cases, number};
use crate::sample::{Sample, median};

/// What is drawn of each measure: the metric, and its name on the plot.
const DRAWN: [(&str, &str, &str); 4] = [
    ("enqueue", "rate_per_s", "deliveries planned and queued a second"),
    ("drain", "rate_per_s", "messages posted a second"),
    ("lateness", "p99_ms", "lateness, 99th percentile, milliseconds (logarithmic)"),
    ("webhooks", "rate_per_s", "webhooks fsynced and answered a second"),
];

const WIDTH: f64 = 720.0;
const LABELS: f64 = 130.0;
const BAR: f64 = 22.0;

/// Draws one plot for each case; returns the files' names.
pub fn draw(measure: &str, samples: &[&Sample], to: &Path) -> Result<Vec<String>> {
    let Some((_, metric, title)) = DRAWN.iter().find(|(name, ..)| *name == measure) else {
        return Ok(Vec::new());
    };
    let mut names = Vec::new();
    for (at, case) in cases(samples).iter().enumerate() {
        let of = samples.iter().filter(|s| s.case == *case && s.metric == *metric);
        let mut bars: Vec<(String, Vec<f64>)> = Vec::new();
        for sample in of {
            match bars.iter_mut().find(|(name, _)| *name == sample.contender) {
                Some((_, values)) => values.push(sample.value),
                None => bars.push((sample.contender.clone(), vec![sample.value])),
            }
        }
        let bars = bars.into_iter().filter_map(|(name, v)| Some((name, median(&v)?.0)));
        let mut bars: Vec<(String, f64)> = bars.collect();
        bars.sort_by(|a, b| b.1.total_cmp(&a.1));
        let name = format!("{measure}-{}.svg", at + 1);
        let path = to.join(&name);
        let text = svg(&format!("{title}: {case}"), &bars, *metric == "p99_ms");
        std::fs::write(&path, text).with_context(|| format!("write {}", path.display()))?;
        names.push(name);
    }
    Ok(names)
}

fn svg(title: &str, bars: &[(String, f64)], logarithmic: bool) -> String {
    let height = 40.0 + BAR * 1.4 * bars.len() as f64;
    let scale = |value: f64| if logarithmic { (1.0 + value.max(0.0)).log10() } else { value };
    let most = bars.iter().map(|(_, value)| scale(*value)).fold(f64::MIN_POSITIVE, f64::max);
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" height=\"{height}\" font-family=\"sans-serif\" font-size=\"13\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n<text x=\"8\" y=\"20\" font-weight=\"bold\">{title}</text>\n"
    );
    for (at, (name, value)) in bars.iter().enumerate() {
        let y = 36.0 + BAR * 1.4 * at as f64;
        let long = ((WIDTH - LABELS - 110.0) * scale(*value) / most).max(1.0);
        let colour = if name.starts_with("subah") { "#d97706" } else { "#94a3b8" };
        let middle = y + BAR * 0.7;
        let _ = writeln!(
            text,
            "<text x=\"{}\" y=\"{middle}\" text-anchor=\"end\">{name}</text><rect x=\"{LABELS}\" y=\"{y}\" width=\"{long:.1}\" height=\"{BAR}\" fill=\"{colour}\"/><text x=\"{:.1}\" y=\"{middle}\">{}</text>",
            LABELS - 8.0,
            LABELS + long + 6.0,
            number(*value),
        );
    }
    text.push_str("</svg>\n");
    text
}

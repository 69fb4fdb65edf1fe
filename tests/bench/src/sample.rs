//! What was measured: one number of one contender in one round, a line of JSON each.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// `drain`, `lateness`, …
    pub measure: String,
    /// Which size or variant of the measure.
    pub case: String,
    pub contender: String,
    /// What the value is, with its unit last: `rate_per_s`, `p99_ms`.
    pub metric: String,
    pub round: u32,
    pub value: f64,
    /// Date and commit.
    pub of: String,
}

/// Where samples go: a file that the report is made from, and the terminal.
pub struct Samples {
    path: PathBuf,
    of: String,
    file: Mutex<std::fs::File>,
}

impl Samples {
    /// `of` is the date and the commit that are measured.
    ///
    /// # Errors
    /// When the file cannot be opened.
    pub fn append(path: &Path, of: &str) -> Result<Self> {
        let doing = || format!("open {}", path.display());
        if let Some(dir) = path.parent() {
            std::fs::create_dir_all(dir).with_context(doing)?;
        }
        let file = std::fs::OpenOptions::new().create(true).append(true).open(path);
        Ok(Samples {
            path: path.to_owned(),
            of: of.to_owned(),
            file: Mutex::new(file.with_context(doing)?),
        })
    }

    /// # Errors
    /// When the disk refuses.
    pub fn add(
        &self,
        (measure, case): (&str, &str),
        contender: &str,
        round: u32,
        values: &[(&str, f64)],
    ) -> Result<()> {
        for (metric, value) in values {
            let sample = Sample {
                measure: measure.to_owned(),
                case: case.to_owned(),
                contender: contender.to_owned(),
                metric: (*metric).to_owned(),
                round,
                value: *value,
                of: self.of.clone(),
            };
            eprintln!("{measure} {case} #{round} {contender}: {metric} {value:.3}");
            let mut line = serde_json::to_string(&sample)?;
            line.push('\n');
            let mut file = self.file.lock().expect("no panic while held");
            file.write_all(line.as_bytes())
                .with_context(|| format!("write {}", self.path.display()))?;
        }
        Ok(())
    }
}

/// # Errors
/// When the file is not there or holds something else.
pub fn read(path: &Path) -> Result<Vec<Sample>> {
    let text = std::fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
    text.lines().map(|line| Ok(serde_json::from_str(line)?)).collect()
}

/// The middle of the values, and the smallest and largest. `None` without any.
pub fn median(values: &[f64]) -> Option<(f64, f64, f64)> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let (first, last) = (*sorted.first()?, *sorted.last()?);
    let half = sorted.len() / 2;
    let middle =
        if sorted.len() % 2 == 1 { sorted[half] } else { (sorted[half - 1] + sorted[half]) / 2.0 };
    Some((middle, first, last))
}

/// The value below which `share` of the sorted values lie.
pub fn quantile(sorted: &[f64], share: f64) -> f64 {
    let last = sorted.len().saturating_sub(1);
    let at = (share * last as f64).ceil() as usize;
    sorted.get(at.min(last)).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_and_the_tail() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some((2.0, 1.0, 3.0)));
        assert_eq!(median(&[1.0, 2.0]), Some((1.5, 1.0, 2.0)));
        assert_eq!(median(&[]), None);
        let values: Vec<f64> = (0..=100).map(f64::from).collect();
        assert_eq!((quantile(&values, 0.5), quantile(&values, 0.99)), (50.0, 99.0));
    }
}

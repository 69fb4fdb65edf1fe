//! What a process holds in memory, and a state folder on its disk; and whether it grows.

use std::path::Path;

use anyhow::{Context, Result};

/// Of one process, in KiB.
#[derive(Clone, Copy, Debug, Default)]
pub struct Memory {
    pub resident: u64,
    /// Since it began, or since [`forget_peak`].
    pub peak: u64,
}

/// # Errors
/// When the process is gone.
pub fn memory(process: u32) -> Result<Memory> {
    let path = format!("/proc/{process}/status");
    let text = std::fs::read_to_string(&path).with_context(|| format!("read {path}"))?;
    let kib = |name: &str| -> Result<u64> {
        let line = text.lines().find(|line| line.starts_with(name));
        let number = line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok());
        number.with_context(|| format!("find {name} in {path}"))
    };
    Ok(Memory { resident: kib("VmRSS:")?, peak: kib("VmHWM:")? })
}

/// The next peak is one since now.
///
/// # Errors
/// When the kernel does not take it.
pub fn forget_peak(process: u32) -> Result<()> {
    let path = format!("/proc/{process}/clear_refs");
    std::fs::write(&path, "5").with_context(|| format!("write {path}"))
}

/// A state folder by part, in bytes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Disk {
    pub ledger: u64,
    pub records: u64,
    pub journal: u64,
    pub inbox: u64,
    pub snapshots: u64,
    pub content: u64,
    pub rest: u64,
    /// Grows on purpose: facts that were purged, for whoever asks.
    pub exports: u64,
}

impl Disk {
    /// # Errors
    /// When the folder cannot be read.
    pub fn of(state: &Path) -> Result<Self> {
        let mut disk = Disk::default();
        let doing = || format!("measure {}", state.display());
        for entry in std::fs::read_dir(state).with_context(doing)? {
            let entry = entry.with_context(doing)?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let part = match name.split('.').next().unwrap_or_default() {
                "ledger" => &mut disk.ledger,
                "records" => &mut disk.records,
                "journal" => &mut disk.journal,
                "inbox" => &mut disk.inbox,
                "snapshots" => &mut disk.snapshots,
                "content" => &mut disk.content,
                "exports" => &mut disk.exports,
                _ => &mut disk.rest,
            };
            *part += bytes(&entry.path());
        }
        Ok(disk)
    }

    /// Everything that must not grow.
    pub fn kept(&self) -> u64 {
        self.ledger + self.records + self.journal + self.inbox + self.flat()
    }

    /// The small parts.
    pub fn flat(&self) -> u64 {
        self.snapshots + self.content + self.rest
    }
}

/// What a file takes, or all files below a folder; what is gone meanwhile takes nothing.
fn bytes(path: &Path) -> u64 {
    match std::fs::read_dir(path) {
        Ok(entries) => entries.flatten().map(|entry| bytes(&entry.path())).sum(),
        Err(_) => std::fs::metadata(path).map_or(0, |found| found.len()),
    }
}

/// How much the later median may be above the earlier one, as a share.
const GROWTH_MAX: f64 = 0.15;

/// One measure, before and after.
#[derive(Clone, Copy, Debug)]
pub struct Growth {
    pub what: &'static str,
    earlier: f64,
    later: f64,
    /// What it may grow by in any case.
    slack: f64,
}

impl Growth {
    /// Compares medians.
    ///
    /// # Panics
    /// When nothing was measured before, or after.
    pub fn between(what: &'static str, earlier: Vec<f64>, later: Vec<f64>, slack: f64) -> Self {
        Growth { what, earlier: median(earlier), later: median(later), slack }
    }

    pub fn share(&self) -> f64 {
        self.later / self.earlier - 1.0
    }

    pub fn is_flat(&self) -> bool {
        self.share() <= GROWTH_MAX || self.later - self.earlier <= self.slack
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let n = values.len();
    (values[(n - 1) / 2] + values[n / 2]) / 2.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_grows_by_more_than_its_share_and_its_slack_is_not_flat() {
        let grows = |later: f64, slack| {
            let later = vec![later, 1.0, later * 9.0];
            !Growth::between("it", vec![90.0, 100.0, 110.0, 100.0], later, slack).is_flat()
        };
        assert!(!grows(114.0, 0.0) && grows(116.0, 0.0));
        assert!(!grows(116.0, 20.0) && grows(121.0, 20.0));
        assert!(!grows(50.0, 0.0), "less is no growth");
    }
}

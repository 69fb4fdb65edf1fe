//! How fast a list is read, checked and stored, what it takes, and what a plan from the records costs.

use std::fmt::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use tests::postgres::Postgres;
use tests::subah;

use super::Size;
use crate::process::{Process, Usage};
use crate::sample::Samples;

/// Between two looks at the memory of a process that may be over any moment.
const LOOK: Duration = Duration::from_millis(5);

pub fn run(size: Size, samples: &Samples) -> Result<()> {
    let rows: u32 = size.pick(5_000, 200_000, 1_000_000);
    let dir = tempfile::tempdir()?;
    let mut list = String::from("id,name,phone,tier,language,consent_utility,firm\n");
    for n in 0..rows {
        let phone = 6_000_000_001u64 + u64::from(n) * 3;
        writeln!(list, "arn-{n:07},Asha Rao,+91{phone},pro,hi,yes,Rao Wealth {}", n % 977)?;
    }
    let bytes = list.len() as f64 / 1024.0 / 1024.0;
    std::fs::write(dir.path().join("list.csv"), list)?;
    crate::process::output("init", subah().arg("init").arg(dir.path()))?;
    let config = dir.path().join("subah.toml");
    let plain = std::fs::read_to_string(&config)?;
    for round in 0..size.rounds() {
        let server = Postgres::start();
        let postgresql = plain.replace(
            "[records]\n",
            &format!("[records]\nengine = \"postgresql\"\npostgresql_url = \"{}\"\n", server.url()),
        );
        let cases = [
            ("read and checked", "--dry-run", &plain),
            ("stored", "--yes", &plain),
            ("stored, postgresql", "--yes", &postgresql),
        ];
        for (case, stores, text) in cases {
            std::fs::write(&config, text)?;
            let import = ["recipients", "import", "list.csv", stores];
            let (seconds, usage) = once(dir.path(), &import)?;
            let values = [
                ("rows_per_s", f64::from(rows) / seconds),
                ("mib_per_s", bytes / seconds),
                ("peak_mib", usage.peak_mib),
            ];
            samples.add(("import", case), "subah", round, &values)?;
            if stores == "--yes" {
                plan(dir.path(), (case, rows), (&config, &plain), round, samples)?;
                std::fs::remove_dir_all(dir.path().join("state"))?;
            }
        }
    }
    Ok(())
}

/// The same plan with the records that hold the list, and without any: this host's copy alone.
fn plan(
    dir: &Path,
    (case, rows): (&str, u32),
    (config, plain): (&Path, &str),
    round: u32,
    samples: &Samples,
) -> Result<()> {
    let content = ["content", "import", "content.ndjson", "--date", "tomorrow", "--yes"];
    crate::process::output("content", subah().current_dir(dir).args(content))?;
    // More people than the numbers of a new installation can carry: the answer is no, and whole.
    let plan = ["plan", "--date", "tomorrow", "--format", "csv"];
    let add = |from: &str, (seconds, usage): (f64, Usage)| {
        let name = format!("planned from {from}, {}", case.trim_start_matches("stored, "));
        let name = name.trim_end_matches(", stored");
        let values = [("rows_per_s", f64::from(rows) / seconds), ("peak_mib", usage.peak_mib)];
        samples.add(("import", name), "subah", round, &values)
    };
    add("records", timed(dir, &plan)?.0)?;
    std::fs::write(config, plain)?;
    for name in ["records.db", "records.db-wal", "records.db-shm"] {
        let _ = std::fs::remove_file(dir.join("state").join(name)); // PostgreSQL has none
    }
    add("files", timed(dir, &plan)?.0)
}

fn once(dir: &Path, args: &[&str]) -> Result<(f64, Usage)> {
    let (measured, succeeded) = timed(dir, args)?;
    ensure!(succeeded, "{args:?} failed");
    Ok(measured)
}

/// How long a command takes and what it holds; whether it says yes.
fn timed(dir: &Path, args: &[&str]) -> Result<((f64, Usage), bool)> {
    let begun = Instant::now();
    let mut command = subah();
    command.current_dir(dir).args(args);
    let mut process = Process::start(args[0], &mut command)?;
    let mut last = Usage::default();
    while !process.is_over() {
        let seen = process.usage();
        if seen.peak_mib > 0.0 {
            last = seen;
        }
        tests::pause(LOOK);
    }
    let seconds = begun.elapsed().as_secs_f64();
    Ok(((seconds, last), process.succeeded()))
}

//! Puts each fault of `tests/mutants.toml` into a copy of the source, simulates mornings
//! with it until one fails, and prints a table. Fails when a mutant survives that says it
//! would not.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use clap::Parser;
use tests::mutants::{Mutant, load, root};

/// Checks that the simulated mornings notice faults in the protocol.
#[derive(Parser)]
struct Args {
    /// Only these
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Mornings before a mutant counts as survived
    #[arg(long, default_value_t = 4_000)]
    seeds: u64,
    #[arg(long, default_value = "release")]
    profile: String,
}

fn main() -> Result<ExitCode> {
    let args = Args::parse();
    let mutants: Vec<Mutant> = load()?
        .into_iter()
        .filter(|mutant| args.only.is_empty() || args.only.contains(&mutant.name))
        .collect();
    ensure!(!mutants.is_empty(), "no such mutant in tests/mutants.toml");
    let work = root().join("target/mutants/source");
    copy(&work)?;
    println!("| mutant | what is wrong | policy | fate |\n| --- | --- | --- | --- |");
    let mut good = true;
    for mutant in &mutants {
        let begun = Instant::now();
        let killed_by = kill(&work, mutant, &args).with_context(|| mutant.name.clone())?;
        let fate = match (&killed_by, &mutant.survives) {
            (Some(seed), _) => format!("killed by seed {seed}"),
            (None, Some(why)) => format!("survives {} mornings: {why}", args.seeds),
            (None, None) => format!("SURVIVES {} mornings", args.seeds),
        };
        good &= killed_by.is_some() || mutant.survives.is_some();
        println!("| `{}` | {} | {} | {fate} |", mutant.name, mutant.what, mutant.policy());
        eprintln!("{}: {fate} ({:.0} s)", mutant.name, begun.elapsed().as_secs_f64());
    }
    Ok(ExitCode::from(u8::from(!good)))
}

/// A copy of what the simulation is built from; only changed files are written, so that
/// little is built again.
fn copy(work: &Path) -> Result<()> {
    std::fs::create_dir_all(work)?;
    let status = Command::new("cp")
        .args(["-au", "Cargo.toml", "Cargo.lock", "crates", "tests"])
        .arg(work)
        .current_dir(root())
        .status()
        .context("copy the source")?;
    ensure!(status.success(), "the source was not copied to {}", work.display());
    Ok(())
}

/// The first seed that fails with the fault in place.
fn kill(work: &Path, mutant: &Mutant, args: &Args) -> Result<Option<u64>> {
    let path = work.join(&mutant.file);
    // From the tree itself: an interrupted run may have left a fault in the copy.
    let sound = std::fs::read_to_string(root().join(&mutant.file))?;
    let _restored = Restored { path: path.clone(), text: sound.clone() };
    std::fs::write(&path, sound.replacen(&mutant.find, &mutant.replace, 1))?;
    let target = root().join("target/mutants/target");
    let built = Command::new("cargo")
        .args(["build", "--quiet", "--locked", "-p", "tests", "--bin", "seeds"])
        .args(["--profile", &args.profile])
        .env("CARGO_TARGET_DIR", &target)
        .env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "1")
        .env("CARGO_PROFILE_RELEASE_INCREMENTAL", "true")
        .env("RUSTFLAGS", "--cap-lints warn")
        .current_dir(work)
        .stderr(Stdio::null())
        .status()?;
    ensure!(built.success(), "the mutant does not compile");
    let folder = if args.profile == "dev" { "debug" } else { &args.profile };
    let run = Command::new(target.join(folder).join("seeds"))
        .args([
            "--policy",
            mutant.policy(),
            "--chaos",
            mutant.chaos(),
            "--fail-fast",
            "--seeds",
            &args.seeds.to_string(),
        ])
        .output()?;
    let text = String::from_utf8_lossy(&run.stderr);
    let failed = text.lines().find_map(|line| line.strip_prefix("seed ")?.split(' ').next());
    Ok(failed.and_then(|seed| seed.parse().ok()))
}

/// Puts the sound source back.
struct Restored {
    path: PathBuf,
    text: String,
}

impl Drop for Restored {
    fn drop(&mut self) {
        if let Err(error) = std::fs::write(&self.path, &self.text) {
            eprintln!("{} still holds a fault: {error}", self.path.display());
        }
    }
}

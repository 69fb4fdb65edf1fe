//! The faults of `tests/mutants.toml`.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::Deserialize;

#[derive(Deserialize)]
pub struct Mutant {
    pub name: String,
    pub what: String,
    pub file: String,
    pub find: String,
    pub replace: String,
    policy: Option<String>,
    chaos: Option<String>,
    /// Why it may live.
    pub survives: Option<String>,
}

#[derive(Deserialize)]
struct Table {
    mutant: Vec<Mutant>,
}

impl Mutant {
    pub fn policy(&self) -> &str {
        self.policy.as_deref().unwrap_or("hold")
    }

    /// The kind of day that notices.
    pub fn chaos(&self) -> &str {
        self.chaos.as_deref().unwrap_or("absurd")
    }
}

/// The workspace's folder.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// # Errors
/// When the table cannot be read.
pub fn load() -> Result<Vec<Mutant>> {
    let path = root().join("tests/mutants.toml");
    let text = std::fs::read_to_string(&path).context("read tests/mutants.toml")?;
    let table: Table = toml::from_str(&text).context("tests/mutants.toml")?;
    Ok(table.mutant)
}

//! `backup` and `restore`.

use std::path::Path;

use anyhow::Result;
use config::Config;
use desk::backup::{self, Restore};
use desk::{Answer, Mode};

use crate::cli::RestoreArgs;
use crate::output;

pub async fn backup(config: &Config, to: &Path) -> Result<Answer> {
    Ok(output::told(backup::backup(config, to).await?))
}

pub async fn restore(config: &Config, args: &RestoreArgs) -> Result<Answer> {
    let RestoreArgs { from, nothing_was_sent, yes } = args;
    let (from, nothing_was_sent, mode) = (from.clone(), *nothing_was_sent, Mode::of_yes(*yes));
    Ok(output::told(backup::restore(config, &Restore { from, nothing_was_sent, mode }).await?))
}

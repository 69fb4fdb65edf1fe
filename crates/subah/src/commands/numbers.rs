//! `numbers list|pause|resume|probe`.

use anyhow::Result;
use config::Config;
use desk::{Answer, numbers};

use crate::cli::NumbersCommand;
use crate::output;

pub async fn run(config: &Config, command: &NumbersCommand) -> Result<Answer> {
    Ok(output::told(match command {
        NumbersCommand::List { format } => {
            return output::listing(format.format, &numbers::list(config).await?);
        }
        NumbersCommand::Pause { number, reason, span } => {
            numbers::pause(config, number, reason, *span).await?
        }
        NumbersCommand::Resume { number, reason } => {
            numbers::resume(config, number, reason).await?
        }
        NumbersCommand::Probe => numbers::probe(config).await?,
    }))
}

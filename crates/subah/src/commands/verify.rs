//! `ledger verify|repair`.

use anyhow::Result;
use config::Config;
use desk::{Answer, Mode, store, verify};

use crate::cli::LedgerCommand;
use crate::output;

pub async fn run(config: &Config, command: &LedgerCommand) -> Result<Answer> {
    if !store::exists(config) {
        println!("there is no ledger yet: nothing to verify");
        return Ok(Answer::Yes);
    }
    let ledger = store::open(config).await?;
    let ledger = ledger.as_ref();
    Ok(output::told(match command {
        LedgerCommand::Verify => verify::verify(ledger).await?,
        LedgerCommand::Repair { yes } => daemon::repair(config, ledger, Mode::of_yes(*yes)).await?,
    }))
}

//! `numbers probe`: what is stopped is tried again at once, not at the end of its pause.

use anyhow::Result;
use config::Config;
use ledger::halts;

use crate::exit::Answer;
use crate::terminal;
use crate::{output, store};

pub async fn probe(config: &Config) -> Result<Answer> {
    if !store::exists(config) {
        println!("there is no ledger yet: nothing is stopped");
        return Ok(Answer::Yes);
    }
    let ledger = store::open(config).await?;
    let stopped = halts::read(ledger.as_ref()).await?;
    for halt in &stopped {
        println!("{} is stopped: {}", halt.thing, terminal::shown(&halt.why));
    }
    output::record(config, "did", "numbers probe")?;
    halts::ask_to_probe(ledger.as_ref()).await?;
    println!("every sender tries what is stopped again within a second, with one message each");
    Ok(Answer::Yes)
}

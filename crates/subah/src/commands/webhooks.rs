//! `webhooks read`: bodies in words.

use anyhow::{Context, Result};
use cloud_api::webhooks;

use crate::cli::Webhooks;
use crate::exit::Answer;

pub fn run(command: &Webhooks) -> Result<Answer> {
    let Webhooks::Read { files } = command;
    let mut answer = Answer::Yes;
    for file in files {
        let body = std::fs::read(file).with_context(|| format!("read {}", file.display()))?;
        match webhooks::read(&body) {
            Ok(events) => {
                let words: Vec<String> = events.iter().map(ToString::to_string).collect();
                let words = if words.is_empty() { "nothing".to_owned() } else { words.join("; ") };
                println!("{}: {words}", file.display());
            }
            Err(error) => {
                println!("{}: {error}", file.display());
                answer = Answer::No;
            }
        }
    }
    Ok(answer)
}

//! `consents record|import|show`.

use anyhow::Result;
use config::Config;
use desk::consent_forms::{self, Typed};
use desk::{Answer, Mode};

use crate::cli::{ConsentsCommand, SaidArg};
use crate::output;

pub async fn run(config: &Config, command: &ConsentsCommand) -> Result<Answer> {
    match command {
        ConsentsCommand::Record { who, said, category, source, proof, at, yes } => {
            let typed = Typed {
                who: who.clone(),
                is_given: *said == SaidArg::Given,
                categories: category.clone(),
                source: source.clone(),
                proof: proof.clone(),
                at: at.clone(),
            };
            Ok(output::told(consent_forms::record(config, &typed, Mode::of_yes(*yes)).await?))
        }
        ConsentsCommand::Import { file, yes } => {
            Ok(output::told(consent_forms::import(config, file, Mode::of_yes(*yes)).await?))
        }
        ConsentsCommand::Show { who, format } => match consent_forms::show(config, who).await? {
            Some(table) => output::table(format.format, &table).map(|()| Answer::Yes),
            None => {
                println!("nothing is kept of them");
                Ok(Answer::No)
            }
        },
    }
}

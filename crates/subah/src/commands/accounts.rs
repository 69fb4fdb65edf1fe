//! `operators list|add|role|disable|enable` and `keys list|create|revoke`.

use anyhow::Result;
use config::Config;
use desk::Answer;
use desk::accounts::{self, Change};

use crate::cli::{KeysCommand, OperatorsCommand};
use crate::output;

pub async fn operators(config: &Config, command: &OperatorsCommand) -> Result<Answer> {
    let (name, change, reason) = match command {
        OperatorsCommand::List { format } => {
            output::table(format.format, &accounts::operators(config).await?)?;
            return Ok(Answer::Yes);
        }
        OperatorsCommand::Add { name, role, reason } => (name, Change::Add(*role), reason),
        OperatorsCommand::Role { name, role, reason } => (name, Change::Role(*role), reason),
        OperatorsCommand::Disable { name, reason } => (name, Change::Disable, reason),
        OperatorsCommand::Enable { name, reason } => (name, Change::Enable, reason),
    };
    Ok(output::told(accounts::change(config, name, change, reason).await?))
}

pub async fn keys(config: &Config, command: &KeysCommand) -> Result<Answer> {
    match command {
        KeysCommand::List { format } => {
            output::table(format.format, &accounts::keys(config).await?)?;
            Ok(Answer::Yes)
        }
        KeysCommand::Create { operator, label, role, days } => {
            let key = accounts::create_key(config, operator, label, *role, *days).await?;
            output::hint(&format!(
                "key {} of {operator}; its secret is shown now and never again:",
                key.id
            ));
            println!("{}", key.secret);
            Ok(Answer::Yes)
        }
        KeysCommand::Revoke { key, reason } => {
            Ok(output::told(accounts::revoke_key(config, key, reason).await?))
        }
    }
}

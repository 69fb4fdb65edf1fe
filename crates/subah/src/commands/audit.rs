//! `audit list|verify`.

use anyhow::Result;
use config::Config;
use desk::{Answer, audit};

use crate::cli::AuditCommand;
use crate::output;

pub async fn run(config: &Config, command: &AuditCommand) -> Result<Answer> {
    match command {
        AuditCommand::Verify => Ok(output::told(audit::verify(config).await?)),
        AuditCommand::List { limit, format } => {
            output::table(format.format, &audit::list(config, *limit).await?)?;
            Ok(Answer::Yes)
        }
    }
}

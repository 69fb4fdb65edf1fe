//! `webhooks read|poison|replay`.

use anyhow::Result;
use config::Config;
use desk::{Answer, webhooks};

use crate::cli::Webhooks;
use crate::output;

pub async fn run(find: impl FnOnce() -> Result<Config>, command: &Webhooks) -> Result<Answer> {
    Ok(output::told(match command {
        Webhooks::Read { files } => webhooks::read(files)?,
        Webhooks::Poison { replay: false } => webhooks::unread(&find()?)?.told,
        Webhooks::Poison { replay: true } => daemon::replay_unread(&find()?).await?,
        Webhooks::Replay { since } => daemon::replay(&find()?, since.as_deref()).await?,
    }))
}

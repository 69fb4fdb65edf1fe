//! `recover`, and `recover --rebuild`.

use anyhow::Result;
use config::Config;
use desk::recover::{Lost, recover};
use desk::{Answer, Mode};

use crate::cli::RecoverArgs;
use crate::output;

pub async fn run(config: &Config, args: &RecoverArgs) -> Result<Answer> {
    if let Some(date) = &args.rebuild {
        return Ok(output::told(daemon::rebuild(config, date, args.yes).await?));
    }
    let lost = args.without.as_ref().map(|host| Lost {
        host: host.clone(),
        reason: args.reason.clone().unwrap_or_default(),
        store_intact: args.store_intact,
        mode: Mode::of_yes(args.yes),
    });
    Ok(output::told(recover(config, lost.as_ref()).await?))
}

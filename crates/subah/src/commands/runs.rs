//! `runs list|show|pause|resume|cancel|replan|export|purge`.

use std::time::Duration;

use anyhow::{Result, bail};
use config::Config;
use desk::runs::{self, Change};
use desk::{Answer, Mode, store};

use crate::cli::{RunAct, Runs};
use crate::output;

const DAY: Duration = Duration::from_secs(24 * 3_600);

pub async fn run(config: &Config, command: &Runs) -> Result<Answer> {
    if !store::exists(config) {
        bail!("no run was ever planned here: there is no ledger yet");
    }
    let ledger = store::open(config).await?;
    let ledger = ledger.as_ref();
    let (act, change) = match command {
        Runs::List { format } => {
            output::table(format.format, &runs::list(config, ledger).await?)?;
            return Ok(Answer::Yes);
        }
        Runs::Show { run, format } => {
            return match runs::show(config, ledger, run).await? {
                Ok(table) => output::table(format.format, &table).map(|()| Answer::Yes),
                Err(absent) => Ok(output::absent(&absent)),
            };
        }
        Runs::Export { run, dir } => {
            let done = runs::export(config, ledger, run, dir.as_deref()).await?;
            return Ok(done.map_or_else(|absent| output::absent(&absent), output::told));
        }
        Runs::Purge { older_than_days, reason, yes } => {
            let age = older_than_days.map(|days| DAY * days);
            let mode = Mode::of_yes(*yes);
            return Ok(output::told(runs::purge(config, ledger, age, reason, mode).await?));
        }
        Runs::Replan(act) => {
            let mode = Mode::of_yes(act.yes);
            let told = daemon::replan(config, ledger, &act.run, &act.reason, mode).await?;
            return Ok(output::told(told));
        }
        Runs::Pause(act) => (act, Change::Pause),
        Runs::Resume(act) => (act, Change::Resume),
        Runs::Cancel(act) => (act, Change::Cancel),
    };
    let RunAct { run, reason, yes } = act;
    let mode = Mode::of_yes(*yes);
    Ok(output::told(runs::change(config, ledger, run, reason, change, mode).await?))
}

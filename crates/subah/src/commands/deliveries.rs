//! `deliveries list|show|resolve|resend|requeue`.

use anyhow::{Result, bail};
use config::Config;
use desk::amend::{Act, Amend, Resolution, amend};
use desk::select::Which;
use desk::{Answer, Mode, deliveries, did, store};

use crate::cli::{self, ActArgs, Deliveries, Resolved};
use crate::output;

pub async fn run(config: &Config, command: &Deliveries) -> Result<Answer> {
    if !store::exists(config) {
        bail!("no run was ever planned here: there is no ledger yet"); // looking makes none
    }
    let ledger = store::open(config).await?;
    let ledger = ledger.as_ref();
    let (act, args) = match command {
        Deliveries::List(args) => {
            if args.reveal {
                did::reveal(config, "deliveries list")?;
            }
            let which = which(&args.which);
            let found = deliveries::list(config, ledger, &which, args.limit, args.reveal).await?;
            let listed = match found {
                Ok(listed) => listed,
                Err(absent) => return Ok(output::absent(&absent)),
            };
            output::table(args.format.format, &listed.table)?;
            let (shown, all) = (listed.table.rows.len(), listed.all);
            if shown < all {
                output::hint(&format!("{shown} of {all}; --limit shows more"));
            }
            return Ok(Answer::Yes);
        }
        Deliveries::Show { id, reveal } => {
            if *reveal {
                did::reveal(config, &format!("deliveries show {id}"))?;
            }
            output::pretty(&deliveries::show(config, ledger, id, *reveal).await?)?;
            return Ok(Answer::Yes);
        }
        Deliveries::Resolve { act, resolved } => {
            let resolution = match resolved {
                Resolved::Delivered => Resolution::Delivered,
                Resolved::NotDelivered => Resolution::NotDelivered,
            };
            (Act::Resolve(resolution), act)
        }
        Deliveries::Resend(args) => (Act::Resend { until: args.until.clone() }, &args.act),
        Deliveries::Requeue(args) => (Act::Requeue { until: args.until.clone() }, &args.act),
    };
    Ok(output::told(amend(config, ledger, act, &wish(args)).await?))
}

fn wish(args: &ActArgs) -> Amend {
    Amend {
        ids: args.ids.clone(),
        which: which(&args.which),
        reason: args.reason.clone(),
        mode: Mode::of_yes(args.yes),
    }
}

fn which(args: &cli::Which) -> Which {
    Which {
        date: args.date.clone(),
        states: args.state.clone(),
        recipient: args.recipient.clone(),
        missed: args.missed,
        twice: args.twice,
        cause: args.cause.clone(),
        number: args.number.clone(),
    }
}

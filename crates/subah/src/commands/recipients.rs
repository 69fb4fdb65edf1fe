//! `recipients import|undo|history|show|list`.

use anyhow::Result;
use config::Config;
use desk::findings::Said;
use desk::intake::Import;
use desk::{Answer, did, recipients};

use super::{input, say_if_sealed};
use crate::cli::{Format, ImportArgs, Recipients};
use crate::output;

pub async fn run(config: &Config, command: &Recipients) -> Result<Answer> {
    match command {
        Recipients::Import { args, default_country, list } => {
            let wish = Import { default_country: *default_country, ..wish(args)? };
            let mut said = Said::default();
            let done = recipients::import(config, &wish, &list.list, &mut said).await;
            output::said(&said);
            let answer = done?;
            say_if_sealed(config, None).await?;
            Ok(answer)
        }
        Recipients::Undo { list } => {
            let change = recipients::undo(config, &list.list).await?;
            println!(
                "{change}  recipients: the list before the last import is back, with the consents it had then"
            );
            say_if_sealed(config, None).await?;
            Ok(Answer::Yes)
        }
        Recipients::History { list, format } => {
            output::table(format.format, &recipients::history(config, &list.list).await?)?;
            Ok(Answer::Yes)
        }
        Recipients::Show { recipient, runs, reveal } => {
            if *reveal {
                did::reveal(config, "recipients show")?;
            }
            show(config, recipient, *runs, *reveal).await
        }
        Recipients::List { format, reveal, list } => {
            if *reveal {
                did::reveal(config, "recipients list")?;
            }
            let table = recipients::list(config, &list.list, *reveal).await?;
            output::table(format.format, &table)?;
            Ok(Answer::Yes)
        }
    }
}

/// The file of an import, and how it is to be taken.
pub fn wish(args: &ImportArgs) -> Result<Import> {
    Ok(Import {
        file: args.file.clone(),
        bytes: input(&args.file)?,
        strict: args.strict,
        dry_run: args.dry_run,
        yes: args.yes,
        sheet: args.sheet.clone(),
        default_country: None,
    })
}

async fn show(config: &Config, text: &str, latest: usize, reveal: bool) -> Result<Answer> {
    let shown = recipients::show(config, text, latest, reveal).await?;
    match &shown.listed {
        Some(table) => output::table(Format::Table, table)?,
        None => println!("not in the list"),
    }
    if shown.said_stop {
        println!("said STOP since the import: nothing is sent to them");
    }
    output::table(Format::Table, &shown.past)?;
    Ok(Answer::from_bool(shown.listed.is_some() || !shown.past.rows.is_empty()))
}

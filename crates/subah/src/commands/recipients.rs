//! `recipients import|list`.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use anyhow::{Context, Result};
use domain::Recipient;
use scheduler::intake::read_recipients;

use crate::cli::Recipients;
use crate::config::Config;
use crate::exit::Answer;
use crate::files::{Files, judge};
use crate::output;

pub fn run(config: &Config, command: &Recipients) -> Result<Answer> {
    match command {
        Recipients::Import { file, strict } => import(config, file, *strict),
        Recipients::List { format, reveal } => {
            output::audit(*reveal);
            let columns =
                ["id", "name", "phone", "user_id", "tier", "language", "utility", "marketing"];
            let recipients = Files::of(config).recipients()?;
            let rows: Vec<Vec<String>> = recipients.iter().map(|r| row(r, *reveal)).collect();
            output::rows(format.format, &columns, &rows)?;
            Ok(Answer::Yes)
        }
    }
}

/// The list becomes the file; a row that cannot be read keeps what is stored under its id.
fn import(config: &Config, file: &Path, strict: bool) -> Result<Answer> {
    let bytes = std::fs::read(file).with_context(|| format!("read {}", file.display()))?;
    let intake = read_recipients(&bytes, config.daily.window.zone)
        .with_context(|| format!("import {}", file.display()))?;
    judge(file, &intake, strict)?;
    let files = Files::of(config);
    let mut rows = intake.rows;
    let good: HashSet<String> = rows.iter().map(|r| r.id.as_str().to_owned()).collect();
    let mut stored: HashMap<String, Recipient> =
        files.recipients()?.into_iter().map(|r| (r.id.as_str().to_owned(), r)).collect();
    let mut kept = 0;
    for id in intake.refused.iter().filter_map(|refused| refused.id.as_ref()) {
        if !good.contains(id)
            && let Some(before) = stored.remove(id)
        {
            rows.push(before);
            kept += 1;
        }
    }
    files.save_recipients(&rows)?;
    println!("{} recipients are in the list", rows.len());
    if kept > 0 {
        println!("of these, {kept} are as stored before, because their new row cannot be read");
    }
    Ok(Answer::from_bool(intake.refused.is_empty()))
}

fn row(recipient: &Recipient, reveal: bool) -> Vec<String> {
    let yes = |flag: bool| if flag { "yes" } else { "no" }.to_owned();
    let (phone, user_id) = (recipient.address.phone(), recipient.address.user_id());
    let initial = |name: &str| name.chars().next().map(|c| format!("{c}…")).unwrap_or_default();
    vec![
        recipient.id.as_str().to_owned(),
        if reveal { recipient.name.clone() } else { initial(&recipient.name) },
        phone.map(|p| if reveal { p.reveal().to_owned() } else { p.masked() }).unwrap_or_default(),
        user_id.map(|id| if reveal { id.reveal() } else { "yes" }.to_owned()).unwrap_or_default(),
        recipient.tier.clone(),
        recipient.language.clone(),
        yes(recipient.consent_utility),
        yes(recipient.consent_marketing),
    ]
}

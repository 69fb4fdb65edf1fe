//! `templates`: what Meta says of each translation, and a version in place of another; drafts.

mod account;
mod drafts;

use std::collections::BTreeSet;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use cloud_api::CloudApi;
use cloud_api::account::TemplateInfo;
use config::Config;
use config::secrets::Credentials;
use domain::{Language, TemplateName};
use ledger::standing::{self, Standing, Substitute};
use scheduler::Campaign;
use templates::review::is_template_name;

use super::one;
use crate::cli::{Format, TemplatesCommand};
use crate::exit::{Answer, WrongUse};
use crate::owner::who;
use crate::{output, store};

/// `find` loads the configuration; drafts are reviewed without one.
pub async fn run(
    file: &Option<PathBuf>,
    find: impl FnOnce() -> Result<Config>,
    command: &TemplatesCommand,
) -> Result<Answer> {
    match command {
        TemplatesCommand::Lint { paths, format } => {
            drafts::lint(&drafts::Rules::find(file.as_deref())?, paths, format.format)
        }
        TemplatesCommand::Preview { paths } => {
            drafts::preview(&drafts::Rules::find(file.as_deref())?, paths)
        }
        TemplatesCommand::List { format } => list(&find()?, format.format).await,
        TemplatesCommand::Substitute { live, language, reason, yes } => {
            substitute(&find()?, live, language, reason, *yes).await
        }
        TemplatesCommand::Restore { language } => restore(&find()?, language).await,
        TemplatesCommand::Submit { paths, yes } => drafts::submit(&find()?, paths, *yes).await,
        TemplatesCommand::Compare { paths, format } => {
            drafts::compare(&find()?, paths, format.format).await
        }
        TemplatesCommand::Doctor { name, format } => {
            account::doctor(&find()?, name.as_deref(), format.format).await
        }
        TemplatesCommand::Pull { dir, name, yes } => {
            drafts::pull(&find()?, dir.as_deref(), name.as_deref(), *yes).await
        }
    }
}

async fn list(config: &Config, format: Format) -> Result<Answer> {
    let template = &one(config)?.campaign.template;
    let standing = match store::exists(config) {
        true => standing::read(store::open(config).await?.as_ref()).await?,
        false => Standing::default(),
    };
    let (found, mut answer) = match at_meta(config, &template.name).await {
        Ok(found) => (found, Answer::Yes),
        Err(error) => {
            output::hint(&format!("what Meta says is not known: {error:#}"));
            (Vec::new(), Answer::No)
        }
    };
    let mut rows = Vec::new();
    for language in &template.languages {
        let substitute = standing
            .substitutes()
            .find(|held| held.planned == template.name && held.language == *language);
        let info = found.iter().find(|info| *language == *info.language);
        let status = info.map_or("not known", |info| info.status.as_str());
        if substitute.is_none() && !info.is_some_and(TemplateInfo::is_approved) {
            answer = Answer::No;
        }
        let misfits = info.map(|info| info.misfits(template).join("; ")).unwrap_or_default();
        let (live, why) = match substitute {
            Some(held) => (held.live.to_string(), format!("{}, by {}", held.why, held.by)),
            None => (template.name.to_string(), String::new()),
        };
        rows.push(vec![language.to_string(), status.to_owned(), misfits, live, why]);
    }
    output::rows(format, &["language", "status", "misfits", "sent", "why"], &rows)?;
    Ok(answer)
}

async fn substitute(
    config: &Config,
    live: &str,
    languages: &[String],
    why: &str,
    yes: bool,
) -> Result<Answer> {
    let campaign = &one(config)?.campaign;
    let template = &campaign.template;
    if why.trim().is_empty() {
        let what = "--reason is empty: say why, for whoever asks tomorrow".to_owned();
        return Err(WrongUse(what).into());
    }
    if !is_template_name(live) {
        let what = format!("{live:?} is not a template's name: a to z, 0 to 9 and _, up to 512");
        return Err(WrongUse(what).into());
    }
    let live = TemplateName::from(live);
    if live == template.name {
        let back = format!("{live} is the campaign's own template: `templates restore` sends it");
        return Err(WrongUse(back).into());
    }
    let languages = chosen(config, languages)?;
    let found = at_meta(config, &live).await.context("whether it can be sent is not known")?;
    let refused = refusals(campaign, &live, &languages, &found);
    if refused > 0 {
        println!("nothing was changed");
        return Ok(Answer::No);
    }
    if !yes {
        println!("nothing was changed; --yes does it");
        return Ok(Answer::Yes);
    }
    output::record(config, "did", &format!("templates substitute {live}: {why}"))?;
    let ledger = store::open(config).await?;
    let since = ledger.now().await?;
    let numbers: BTreeSet<_> = config.numbers.iter().map(|number| number.id.clone()).collect();
    for language in languages {
        let (planned, live) = (template.name.clone(), live.clone());
        let (numbers, by, why) = (numbers.clone(), who(), why.to_owned());
        let one = Substitute { planned, language, live, numbers, since, by, why };
        standing::substitute(ledger.as_ref(), one).await?;
    }
    println!("every sender sends {live} within a second; `templates restore` takes it back");
    Ok(Answer::Yes)
}

/// Says of each translation whether it can stand in; how many cannot.
fn refusals(
    campaign: &Campaign,
    live: &TemplateName,
    languages: &[Language],
    found: &[TemplateInfo],
) -> usize {
    let template = &campaign.template;
    let mut refused = 0;
    for language in languages {
        let held = found.iter().find(|info| *language == *info.language);
        let why_not = match held {
            None => vec!["Meta has no such translation".to_owned()],
            Some(info) if !info.is_approved() => vec![format!("it is {} at Meta", info.status)],
            Some(info) if !info.is_of(campaign.category.as_str()) => vec![format!(
                "Meta files it under {}, and the campaign is {}: another price, and another consent",
                info.category.to_lowercase(),
                campaign.category.as_str()
            )],
            Some(info) => info.misfits(template),
        };
        match why_not.is_empty() {
            true => println!("{live} ({language}) can go in place of {}", template.name),
            false => println!("{live} ({language}) cannot be sent: {}", why_not.join("; ")),
        }
        refused += usize::from(!why_not.is_empty());
    }
    refused
}

async fn restore(config: &Config, languages: &[String]) -> Result<Answer> {
    let template = &one(config)?.campaign.template;
    let languages = chosen(config, languages)?;
    if !store::exists(config) {
        println!("there is no ledger yet: nothing has a substitute");
        return Ok(Answer::Yes);
    }
    output::record(config, "did", "templates restore")?;
    let ledger = store::open(config).await?;
    let mut restored = 0;
    for language in languages {
        let was = standing::restore(ledger.as_ref(), &template.name, &language).await?;
        if let Some(was) = was {
            println!("{} ({language}) is sent again, not {}", template.name, was.live);
            restored += 1;
        }
    }
    if restored == 0 {
        println!("no translation of {} had a substitute", template.name);
    }
    Ok(Answer::Yes)
}

/// Translations of the campaign's template: those that are named, or all.
fn chosen(config: &Config, named: &[String]) -> Result<Vec<Language>> {
    let all = &one(config)?.campaign.template.languages;
    if named.is_empty() {
        return Ok(all.clone());
    }
    let known = |name: &String| {
        let found = all.iter().find(|language| ***language == **name).cloned();
        let unknown =
            format!("the campaign has no translation {name:?}: it has {}", all.join(", "));
        found.ok_or_else(|| WrongUse(unknown).into())
    };
    named.iter().map(known).collect()
}

/// All translations of a template, as Meta lists them.
async fn at_meta(config: &Config, name: &TemplateName) -> Result<Vec<TemplateInfo>> {
    let Some(waba) = &config.waba_id else {
        bail!("cloud_api.waba_id is not set: it names the account whose templates are asked for");
    };
    let credentials = Credentials::load(&config.credentials)?;
    let api = CloudApi::new(&config.cloud_api, credentials.meta_token)?;
    let mut found = api.templates(waba, name).await.with_context(|| format!("ask for {name}"))?;
    found.retain(|info| **name == info.name); // Graph finds names that contain it too
    Ok(found)
}

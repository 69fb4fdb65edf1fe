//! Templates: what Meta says of each translation, and a version in place of another; drafts.

mod account;
mod drafts;

use std::collections::BTreeSet;

use cloud_api::CloudApi;
use cloud_api::account::TemplateInfo;
use config::Config;
use config::secrets::Credentials;
use domain::{Language, TemplateName};
use ledger::standing::{self, Standing, Substitute};
use scheduler::Campaign;
use templates::review::is_template_name;

pub use account::doctor;
pub use drafts::{Bubble, Rules, compare, lint, preview, pull, submit};

use crate::Mode;
use crate::did::{self, who};
use crate::error::{DeskError, Doing, Result};
use crate::named::{campaign, reason};
use crate::store;
use crate::table::Listing;
use crate::told::{Answer, Told};

pub const COLUMNS: [&str; 5] = ["language", "status", "misfits", "sent", "why"];

/// Each translation of the campaign's template as Meta tells of it, and what is sent in its place.
///
/// # Errors
/// When the campaign has to be named, or the store does not answer.
pub async fn list(config: &Config) -> Result<Listing> {
    let template = &campaign(config)?.campaign.template;
    let standing = match store::exists(config) {
        true => standing::read(store::open(config).await?.as_ref()).await?,
        false => Standing::default(),
    };
    let mut listing = Listing::new(&COLUMNS);
    let found = match at_meta(config, &template.name).await {
        Ok(found) => found,
        Err(error) => {
            listing.hints.push(format!("what Meta says is not known: {}", error.chain()));
            listing.answer = Answer::No;
            Vec::new()
        }
    };
    for language in &template.languages {
        let substitute = standing
            .substitutes()
            .find(|held| held.planned == template.name && held.language == *language);
        let info = found.iter().find(|info| *language == *info.language);
        let status = info.map_or("not known", |info| info.status.as_str());
        if substitute.is_none() && !info.is_some_and(TemplateInfo::is_approved) {
            listing.answer = Answer::No;
        }
        let misfits = info.map(|info| info.misfits(template).join("; ")).unwrap_or_default();
        let (live, why) = match substitute {
            Some(held) => (held.live.to_string(), format!("{}, by {}", held.why, held.by)),
            None => (template.name.to_string(), String::new()),
        };
        listing.table.rows.push(vec![language.to_string(), status.to_owned(), misfits, live, why]);
    }
    Ok(listing)
}

/// Another template goes in place of the campaign's own, in some of its languages or in all.
///
/// # Errors
/// When a name or the reason makes no sense, or Meta or the store does not answer.
pub async fn substitute(
    config: &Config,
    live: &str,
    languages: &[String],
    why: &str,
    mode: Mode,
) -> Result<Told> {
    let campaign = &campaign(config)?.campaign;
    let template = &campaign.template;
    reason(why)?;
    if !is_template_name(live) {
        let what = format!("{live:?} is not a template's name: a to z, 0 to 9 and _, up to 512");
        return Err(DeskError::WrongUse(what));
    }
    let live = TemplateName::from(live);
    if live == template.name {
        let back = format!("{live} is the campaign's own template: `templates restore` sends it");
        return Err(DeskError::WrongUse(back));
    }
    let languages = chosen(config, languages)?;
    let found = at_meta(config, &live).await.doing(|| "whether it can be sent is not known")?;
    let mut told = Told::default();
    if refusals(campaign, &live, &languages, &found, &mut told) > 0 {
        told.say("nothing was changed");
        return Ok(told.with(Answer::No));
    }
    if mode == Mode::DryRun {
        told.say("nothing was changed; --yes does it");
        return Ok(told);
    }
    did::note(config, &format!("templates substitute {live}: {why}"))?;
    let ledger = store::open(config).await?;
    let since = ledger.now().await?;
    let numbers: BTreeSet<_> = config.numbers.iter().map(|number| number.id.clone()).collect();
    for language in languages {
        let (planned, live) = (template.name.clone(), live.clone());
        let (numbers, by, why) = (numbers.clone(), who(), why.to_owned());
        let one = Substitute { planned, language, live, numbers, since, by, why };
        standing::substitute(ledger.as_ref(), one).await?;
    }
    told.say(format!(
        "every sender sends {live} within a second; `templates restore` takes it back"
    ));
    Ok(told)
}

/// Says of each translation whether it can stand in; how many cannot.
fn refusals(
    campaign: &Campaign,
    live: &TemplateName,
    languages: &[Language],
    found: &[TemplateInfo],
    told: &mut Told,
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
            true => told.say(format!("{live} ({language}) can go in place of {}", template.name)),
            false => {
                told.say(format!("{live} ({language}) cannot be sent: {}", why_not.join("; ")))
            }
        }
        refused += usize::from(!why_not.is_empty());
    }
    refused
}

/// What was planned is sent again.
///
/// # Errors
/// When a language is not the campaign's, or the store does not answer.
pub async fn restore(config: &Config, languages: &[String]) -> Result<Told> {
    let template = &campaign(config)?.campaign.template;
    let languages = chosen(config, languages)?;
    if !store::exists(config) {
        return Ok(Told::yes("there is no ledger yet: nothing has a substitute"));
    }
    did::note(config, "templates restore")?;
    let ledger = store::open(config).await?;
    let (mut restored, mut told) = (0, Told::default());
    for language in languages {
        let was = standing::restore(ledger.as_ref(), &template.name, &language).await?;
        if let Some(was) = was {
            told.say(format!("{} ({language}) is sent again, not {}", template.name, was.live));
            restored += 1;
        }
    }
    if restored == 0 {
        told.say(format!("no translation of {} had a substitute", template.name));
    }
    Ok(told)
}

/// Translations of the campaign's template: those that are named, or all.
fn chosen(config: &Config, named: &[String]) -> Result<Vec<Language>> {
    let all = &campaign(config)?.campaign.template.languages;
    if named.is_empty() {
        return Ok(all.clone());
    }
    let known = |name: &String| {
        let found = all.iter().find(|language| ***language == **name).cloned();
        let unknown =
            format!("the campaign has no translation {name:?}: it has {}", all.join(", "));
        found.ok_or_else(|| DeskError::WrongUse(unknown))
    };
    named.iter().map(known).collect()
}

/// All translations of a template, as Meta lists them.
async fn at_meta(config: &Config, name: &TemplateName) -> Result<Vec<TemplateInfo>> {
    let Some(waba) = &config.waba_id else {
        return Err(DeskError::Refused(
            "cloud_api.waba_id is not set: it names the account whose templates are asked for"
                .to_owned(),
        ));
    };
    let credentials = Credentials::load(&config.credentials)?;
    let api = CloudApi::new(&config.cloud_api, credentials.meta_token)?;
    let mut found = api.templates(waba, name).await.doing(|| format!("ask for {name}"))?;
    found.retain(|info| **name == info.name); // Graph finds names that contain it too
    Ok(found)
}

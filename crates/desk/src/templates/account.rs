//! What the account has, what that means, what to do. And the account itself.

use catalogue::advice;
use catalogue::files::family_of;
use cloud_api::CloudApi;
use cloud_api::management::{AtMeta, Submitted};
use config::Config;
use config::secrets::Credentials;
use ledger::halts::{self, Halt, Thing};
use ledger::standing::{self, Standing};
use templates::draft::Draft;

use crate::error::{DeskError, Doing, Result};
use crate::store;
use crate::table::Listing;
use crate::told::Answer;

/// The WhatsApp Business Account that templates belong to.
pub(super) struct Account {
    api: CloudApi,
    waba: String,
}

impl Account {
    pub fn of(config: &Config) -> Result<Account> {
        let Some(waba) = config.waba_id.clone() else {
            return Err(DeskError::Refused(
                "cloud_api.waba_id is not set: it names the account whose templates are asked for"
                    .to_owned(),
            ));
        };
        let credentials = Credentials::load(&config.credentials)?;
        Ok(Account { api: CloudApi::new(&config.cloud_api, credentials.meta_token)?, waba })
    }

    /// Those of one name or family, or all.
    pub async fn templates(&self, name: Option<&str>) -> Result<Vec<AtMeta>> {
        let found = self.api.account_templates(&self.waba, None).await;
        let mut found = found.doing(|| "ask for the account's templates")?;
        found.retain(|at| name.is_none_or(|name| at.name == name || family_of(&at.name).0 == name));
        found.sort_by(|a, b| (&a.name, &a.language).cmp(&(&b.name, &b.language)));
        Ok(found)
    }

    pub async fn submit(&self, draft: &Draft) -> Result<Submitted> {
        Ok(self.api.create_template(&self.waba, draft).await?)
    }
}

const COLUMNS: [&str; 7] =
    ["name", "language", "status", "category", "quality", "what it means", "what to do"];

/// Every template of the account, or those of one name or family: what its status means, what to do.
///
/// # Errors
/// When Meta or the store does not answer, or there is no such template.
pub async fn doctor(config: &Config, name: Option<&str>) -> Result<Listing> {
    let found = Account::of(config)?.templates(name).await?;
    let (stopped, standing) = match store::exists(config) {
        true => {
            let ledger = store::open(config).await?;
            (halts::read(ledger.as_ref()).await?, standing::read(ledger.as_ref()).await?)
        }
        false => (Vec::new(), Standing::default()),
    };
    let mut listing = Listing::new(&COLUMNS);
    listing.table.rows = found.iter().map(|at| row(at, &stopped, &standing)).collect();
    let (missing, answer) = of_campaigns(config, name, &found);
    listing.table.rows.extend(missing);
    listing.answer = answer;
    if let Some(name) = name.filter(|_| listing.table.rows.is_empty()) {
        return Err(DeskError::Refused(format!("Meta has no template or family {name}")));
    }
    Ok(listing)
}

/// Translations that a campaign sends and the account does not have; no, unless all are approved.
fn of_campaigns(
    config: &Config,
    name: Option<&str>,
    found: &[AtMeta],
) -> (Vec<Vec<String>>, Answer) {
    let (mut rows, mut answer) = (Vec::new(), Answer::Yes);
    for one in &config.campaigns {
        for planned in one.campaign.templates() {
            for language in &planned.languages {
                let is = |at: &AtMeta| at.name == *planned.name && at.language == **language;
                let there = found.iter().find(|at| is(at));
                let asked = name.is_none_or(|name| {
                    *planned.name == *name || family_of(&planned.name).0 == name
                });
                if there.is_none() && asked {
                    let meaning = "a campaign sends it, and Meta does not have it";
                    let step = "`subah templates submit`, or another name in the configuration";
                    let told = [&planned.name, &**language, "MISSING", "", "", meaning, step];
                    rows.push(told.map(str::to_owned).to_vec());
                }
                if asked && there.is_none_or(|at| at.status != "APPROVED") {
                    answer = Answer::No;
                }
            }
        }
    }
    (rows, answer)
}

fn row(at: &AtMeta, stopped: &[Halt], standing: &Standing) -> Vec<String> {
    let (meaning, step) = advice::of_status(&at.status);
    let (mut meaning, mut step) = (vec![meaning.to_owned()], vec![step.to_owned()]);
    if !at.rejected.is_empty() {
        meaning.push(format!("{}: {}", at.rejected, advice::of_rejection(&at.rejected)));
    }
    let by_quality = advice::of_quality(&at.quality);
    if !by_quality.is_empty() {
        step.push(by_quality.to_owned());
    }
    if !at.category_news.is_empty() {
        meaning.push(at.category_news.clone());
        step.push("the price of a message changes with its category: `subah plan`".to_owned());
    }
    let is_it = |halt: &&Halt| matches!(&halt.thing, Thing::Translation(name, language) if **name == at.name && **language == at.language);
    if let Some(halt) = stopped.iter().find(is_it) {
        meaning.push(format!("it is stopped: {}", halt.why));
    }
    for held in standing.substitutes().filter(|held| *held.language == *at.language) {
        if *held.planned == *at.name {
            meaning.push(format!("{} goes in its place: {}, by {}", held.live, held.why, held.by));
        }
        if *held.live == *at.name {
            meaning.push(format!("it goes in place of {}", held.planned));
        }
    }
    if let Err(why) = &at.draft {
        meaning.push(format!("a part of it is not known here: {why}"));
    }
    step.retain(|step| step != "nothing");
    vec![
        at.name.clone(),
        at.language.clone(),
        at.status.clone(),
        at.category.to_lowercase(),
        at.quality.clone(),
        meaning.join("; "),
        step.join("; "),
    ]
}

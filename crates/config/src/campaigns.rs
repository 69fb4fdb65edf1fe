//! `[campaign]`, or several `[[campaigns]]`: what goes to whom, on which days and when.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use chrono::{NaiveDate, NaiveTime, Weekday};
use domain::campaign::{CampaignId, Category};
use domain::{BusinessNumber, Language, ListName, Tier, WindowSpec};
use scheduler::Campaign;
use scheduler::campaign::{Audience, Defaults, Family};
use scheduler::daily::{Daily, Days};
use templates::TemplateDefinition;
use templates::lint::Lint;

use crate::read::Section;
use crate::template::read_template;

/// A campaign, to whom it goes, and when.
#[derive(Clone, Debug)]
pub struct CampaignConfig {
    /// As the plan sees the campaign.
    pub campaign: Campaign,
    pub audience: Audience,
    pub daily: Daily,
    /// Share of addressed recipients to be delivered by the deadline.
    pub sla_target: f64,
    /// Until when the file of holidays speaks; `None`: there is no such file.
    pub holidays_until: Option<NaiveDate>,
}

/// One campaign, or several with an id each.
pub fn read_campaigns(
    root: &mut Section,
    home: &Path,
    numbers: &[BusinessNumber],
    lint: &Lint,
) -> Vec<CampaignConfig> {
    let sections = root.tables("campaigns");
    if sections.is_empty() {
        return vec![read_one(root.section("campaign"), home, numbers, lint)];
    }
    if root.has("campaign") {
        let expected = "one of the two: [campaign], or a [[campaigns]] for each";
        root.problem("campaigns", "[campaign] and [[campaigns]]", expected);
        root.section("campaign").ignore();
    }
    let mut campaigns: Vec<CampaignConfig> = Vec::new();
    for section in sections {
        let place = section.place();
        let one = read_one(section, home, numbers, lint);
        let id = one.campaign.id.as_str();
        if campaigns.iter().any(|before| before.campaign.id.as_str() == id) {
            root.problem(&format!("{place}.id"), id, "an id that is not listed above");
        }
        campaigns.push(one);
    }
    campaigns
}

fn read_one(
    mut section: Section,
    home: &Path,
    numbers: &[BusinessNumber],
    lint: &Lint,
) -> CampaignConfig {
    let section = &mut section;
    let sla_target = section.number("sla_target", 0.99, 0.0..=1.0);
    let (days, holidays_until) = read_days(section, home);
    let daily = read_window(&mut section.section("window"), days);
    let audience = read_audience(&mut section.section("audience"));
    let numbers = read_numbers_of(section, numbers);
    let campaign = Campaign { lint: lint.clone(), ..read_campaign(section, numbers) };
    CampaignConfig { campaign, audience, daily, sla_target, holidays_until }
}

fn read_campaign(section: &mut Section, numbers: Vec<BusinessNumber>) -> Campaign {
    let name = section.text("id").unwrap_or("daily-pack".to_owned());
    let id = CampaignId::try_new(name.clone()).unwrap_or_else(|bad| {
        section.problem("id", &name, &bad.to_string());
        CampaignId::try_new("daily-pack").expect("a plain name")
    });
    let category = match section.one_of("category", &["utility", "marketing"], "utility") {
        "marketing" => Category::Marketing,
        _ => Category::Utility,
    };
    let default_language: Language =
        section.text("default_language").map_or("en".into(), Into::into);
    let tiers =
        section.texts("tiers").unwrap_or(vec!["pro".into(), "standard".into(), "basic".into()]);
    let tiers = tiers.into_iter().map(Tier::from).collect();
    let template = read_template(&mut section.section("template"));
    let families = read_families(section);
    let defaults = read_defaults(&mut section.section("defaults"), &template);
    let lint = Lint::default();
    let campaign = Campaign {
        id,
        category,
        template,
        default_language,
        tiers,
        numbers,
        defaults,
        lint,
        families,
    };
    let default = &campaign.default_language;
    for template in campaign.templates() {
        if !template.languages.is_empty() && !template.languages.contains(default) {
            let (name, languages) = (&template.name, template.languages.join(", "));
            let expected = format!("one of the languages of {name}: {languages}");
            section.problem("default_language", default, &expected);
        }
    }
    campaign
}

/// `[[campaign.families]]`: templates of their own for some recipients.
fn read_families(section: &mut Section) -> Vec<Family> {
    let mut families = Vec::new();
    for mut section in section.tables("families") {
        let tiers = section.texts("tiers").unwrap_or_default();
        let attributes = section.text_table("attributes");
        if tiers.is_empty() && attributes.is_empty() {
            let expected = "tiers, attributes, or both: who gets this template";
            section.problem("tiers", "nothing", expected);
        }
        let template = read_template(&mut section.section("template"));
        let tiers = tiers.into_iter().map(Tier::from).collect();
        families.push(Family { tiers, attributes, template });
    }
    families
}

/// Those of `[[numbers]]` that a campaign names; all, by default.
fn read_numbers_of(section: &mut Section, all: &[BusinessNumber]) -> Vec<BusinessNumber> {
    let Some(named) = section.texts("numbers") else { return all.to_vec() };
    let mut ours = Vec::new();
    for id in &named {
        match all.iter().find(|number| number.id.as_str() == id) {
            Some(number) => ours.push(number.clone()),
            None => section.problem("numbers", id, "ids of [[numbers]]"),
        }
    }
    if ours.is_empty() {
        section.problem("numbers", "none of them", "at least one id of [[numbers]]");
    }
    ours
}

fn read_audience(section: &mut Section) -> Audience {
    let mut lists = Vec::new();
    for name in section.texts("lists").unwrap_or_default() {
        match ListName::try_new(name) {
            Ok(list) => lists.push(list),
            Err(bad) => section.problem("lists", "an unusable name", &bad.to_string()),
        }
    }
    let mut texts = |key| section.texts(key).unwrap_or_default();
    Audience {
        lists,
        tiers: texts("tiers").into_iter().map(Tier::from).collect(),
        languages: texts("languages").into_iter().map(Language::from).collect(),
        tags: texts("tags"),
    }
}

const WEEKDAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

/// `date` alone, or `days`, `skip`, `extra` and `holidays_file`.
fn read_days(section: &mut Section, home: &Path) -> (Days, Option<NaiveDate>) {
    let expected = "a date such as \"2026-12-01\"";
    let mut days = Days::default();
    if let Some(text) = section.text("date") {
        days.only = text.parse().map_err(|_| section.problem("date", &text, expected)).ok();
        let others = ["days", "skip", "extra", "holidays_file"];
        for other in others.into_iter().filter(|key| section.has(key)) {
            section.problem(other, "a date beside it", "either date, or days");
        }
    }
    let words = section.texts("days");
    if words.as_ref().is_some_and(Vec::is_empty) {
        let expected =
            "at least one day; a campaign that rests is taken out, or its dates into skip";
        section.problem("days", "none", expected);
    }
    for word in words.unwrap_or_default() {
        match word.to_lowercase().parse::<Weekday>() {
            Ok(day) if WEEKDAYS.contains(&word.to_lowercase().as_str()) => days.weekdays.push(day),
            _ => section.problem("days", &format!("{word:?}"), &WEEKDAYS.join(", ")),
        }
    }
    let mut dates = |key: &str| {
        let texts = section.texts(key).unwrap_or_default();
        let parsed = texts.iter().map(|text| (text, text.parse::<NaiveDate>()));
        let mut good = Vec::new();
        for (text, date) in parsed {
            match date {
                Ok(date) => good.push(date),
                Err(_) => section.problem(key, text, expected),
            }
        }
        good
    };
    days.extra = dates("extra").into_iter().collect();
    days.skip = dates("skip").into_iter().map(|date| (date, "as configured".to_owned())).collect();
    let mut until = None;
    if let Some(path) = section.path("holidays_file") {
        match read_holidays(&home.join(&path)) {
            Ok(holidays) => {
                until = holidays.keys().last().copied();
                days.skip.extend(holidays);
            }
            Err(why) => {
                let expected = "a file with a date and a name on each line: 2026-12-25 Christmas";
                section.problem("holidays_file", &why, expected);
            }
        }
    }
    (days, until)
}

/// A date and a name on each line; what stands behind `#` is for people.
fn read_holidays(path: &Path) -> Result<BTreeMap<NaiveDate, String>, String> {
    let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
    let mut holidays = BTreeMap::new();
    for (n, line) in (1..).zip(text.lines()) {
        let line = line.split('#').next().unwrap_or("").trim();
        if line.is_empty() {
            continue;
        }
        let (date, name) = line.split_once(char::is_whitespace).unwrap_or((line, "a holiday"));
        let date: NaiveDate = date.parse().map_err(|_| format!("line {n} begins with no date"))?;
        holidays.insert(date, name.trim().to_owned());
    }
    match holidays.is_empty() {
        true => Err("a file without dates".to_owned()),
        false => Ok(holidays),
    }
}

/// `[campaign.defaults]`: a text by variable, and tables of such by language.
fn read_defaults(section: &mut Section, template: &TemplateDefinition) -> Defaults {
    let mut defaults = Defaults::default();
    for name in &template.body_parameters {
        if let Some(text) = section.text(name) {
            defaults.all.insert(name.clone(), text);
        }
    }
    for language in &template.languages {
        let mut own = section.section(language);
        let texts = template
            .body_parameters
            .iter()
            .filter_map(|name| Some((name.clone(), own.text(name)?)));
        let texts: BTreeMap<String, String> = texts.collect();
        if !texts.is_empty() {
            defaults.languages.insert(language.clone(), texts);
        }
    }
    defaults
}

fn read_window(section: &mut Section, days: Days) -> Daily {
    let time = |h, m, s| NaiveTime::from_hms_opt(h, m, s).expect("a constant time");
    let window = WindowSpec {
        zone: section.zone("zone", chrono_tz::Asia::Kolkata),
        opens: section.time("opens", time(5, 59, 30)),
        target: section.time("target", time(6, 0, 0)),
        spread_until: section.time("spread_until", time(6, 3, 30)),
        closes: section.time("closes", time(6, 4, 30)),
        deadline: section.time("deadline", time(6, 5, 0)),
    };
    if let Err(bad) = window.check() {
        section.problem("opens", &window.opens.to_string(), &bad.to_string());
    }
    let catch_up_until = section.time("catch_up_until", time(6, 30, 0));
    if catch_up_until < window.deadline {
        section.problem(
            "catch_up_until",
            &catch_up_until.to_string(),
            "a time at or after the deadline",
        );
    }
    let second = Duration::from_secs(1);
    let plan_lead = section.duration("plan_lead", second..=second * 86_400, second * 30 * 60);
    Daily { window, days, plan_lead, catch_up_until }
}

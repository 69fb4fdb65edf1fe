//! `[[pulls]]`: lists and content that are fetched on a clock, from a folder or over HTTPS.

use std::path::{Path, PathBuf};
use std::time::Duration;

use chrono::NaiveTime;
use domain::ListName;
use domain::campaign::CampaignId;
use url::Url;

use crate::campaigns::CampaignConfig;
use crate::read::{Section, parse_time};

/// Stands for the civil date of the run that the content is for, in a path or URL.
pub const DATE: &str = "{date}";
/// What may lie between the writing of a file and its being fetched, at most.
const FRESH_MAX: Duration = Duration::from_secs(31 * 24 * 3_600);

/// What is fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PullSet {
    Recipients(ListName),
    /// Of the campaign's next run.
    Content(CampaignId),
}

/// Where it is; [`DATE`] may stand in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PullFrom {
    File(PathBuf),
    Url(String),
}

/// One source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pull {
    pub name: String,
    pub set: PullSet,
    pub from: PullFrom,
    /// In the zone of the campaign, or of the first one.
    pub at: Vec<NaiveTime>,
    /// Older than this, what is fetched is refused: it was meant for another day.
    pub fresh_within: Duration,
    /// Holds a bearer token for the URL.
    pub token_file: Option<PathBuf>,
}

pub(crate) fn read_pulls(
    root: &mut Section,
    home: &Path,
    campaigns: &[CampaignConfig],
) -> Vec<Pull> {
    let mut pulls: Vec<Pull> = Vec::new();
    for mut section in root.tables("pulls") {
        let name = section.text("name").unwrap_or_default();
        let plain = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
        if name.is_empty() || name.len() > 32 || !name.bytes().all(plain) {
            section.problem("name", &format!("{name:?}"), "1 to 32 small letters, digits or -");
        }
        if pulls.iter().any(|other| other.name == name) {
            section.problem("name", &name, "a name that is not listed above");
        }
        let set = read_set(&mut section, campaigns);
        let from = read_from(&mut section, home);
        let token_file = section.path("token_file").map(|file| home.join(file));
        let clear =
            |from: &PullFrom| matches!(from, PullFrom::Url(url) if url.starts_with("http:"));
        if token_file.is_some() && from.as_ref().is_some_and(clear) {
            section.problem("token_file", "a token", "https: the token goes with every request");
        }
        let at = read_times(&mut section);
        let hour = Duration::from_secs(3_600);
        let fresh_within = section.duration("fresh_within", hour..=FRESH_MAX, 24 * hour);
        if let (Some(set), Some(from)) = (set, from) {
            pulls.push(Pull { name, set, from, at, fresh_within, token_file });
        }
    }
    pulls
}

fn read_set(section: &mut Section, campaigns: &[CampaignConfig]) -> Option<PullSet> {
    let (list, campaign) = (section.text("list"), section.text("campaign"));
    match section.one_of("set", &["recipients", "content"], "content") {
        "recipients" => {
            if let Some(campaign) = campaign {
                section.problem("campaign", &campaign, "list: recipients are of no campaign");
            }
            match list.map_or(Ok(ListName::default()), |list| list.parse()) {
                Ok(list) => Some(PullSet::Recipients(list)),
                Err(_) => {
                    section.problem("list", "another word", "the name of a list");
                    None
                }
            }
        }
        _ => {
            if let Some(list) = list {
                section.problem("list", &list, "campaign: content is of a campaign");
            }
            let known: Vec<&str> = campaigns.iter().map(|one| one.campaign.id.as_str()).collect();
            let wanted = campaign.or_else(|| match &known[..] {
                [one] => Some((*one).to_owned()),
                _ => None,
            });
            let found =
                campaigns.iter().find(|one| Some(one.campaign.id.as_str()) == wanted.as_deref());
            if found.is_none() {
                let seen = wanted.unwrap_or_else(|| "nothing".to_owned());
                section.problem("campaign", &seen, &format!("one of {}", known.join(", ")));
            }
            found.map(|one| PullSet::Content(one.campaign.id.clone()))
        }
    }
}

fn read_from(section: &mut Section, home: &Path) -> Option<PullFrom> {
    let expected = "a path, or an https URL; {date} stands for the run's date";
    let Some(text) = section.text("from") else {
        section.problem("from", "nothing", expected);
        return None;
    };
    if !text.contains("://") {
        return Some(PullFrom::File(home.join(text)));
    }
    let url = Url::parse(&text.replace(DATE, "2026-01-01")).ok();
    let is_local = |url: &Url| matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
    let good = url.is_some_and(|url| {
        let has_password = !url.username().is_empty() || url.password().is_some();
        !has_password && (url.scheme() == "https" || (url.scheme() == "http" && is_local(&url)))
    });
    if !good {
        // Not the text: whoever writes a password into a URL must not find it in a log.
        section.problem("from", "another URL", expected);
        return None;
    }
    Some(PullFrom::Url(text))
}

fn read_times(section: &mut Section) -> Vec<NaiveTime> {
    let expected = "local times such as [\"20:00\", \"05:00\"]";
    let texts = section.texts("at").unwrap_or_default();
    let times: Vec<NaiveTime> = texts.iter().filter_map(|text| parse_time(text)).collect();
    if times.is_empty() || times.len() < texts.len() {
        section.problem("at", &format!("{texts:?}"), expected);
    }
    times
}

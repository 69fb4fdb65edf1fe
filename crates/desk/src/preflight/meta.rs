//! What Meta says: numbers, templates, subscription, token, media, its clock.

use std::collections::BTreeSet;
use std::time::Duration;

use catalogue::files::family_of;
use cloud_api::account::{NumberInfo, TemplateInfo};
use cloud_api::{CallError, CloudApi};
use config::CampaignConfig;
use config::secrets::Credentials;
use domain::{BusinessNumber, Timestamp};
use ledger::Ledger;
use ledger::orders::{self, Orders};
use ledger::standing::{self, Standing};
use quality::Rating;
use templates::TemplateDefinition;
use tokio::time::Instant;
use url::Url;

use super::next_run::Needs;
use super::{Findings, Scope};
use crate::error::{DeskError, Result};

/// What has no answer by then is not checked, all questions together: a minute before six there is
/// no time for each.
const WITHIN: Duration = Duration::from_secs(20);
/// Graph's clock tells whole seconds.
const APART_MAX: Duration = Duration::from_secs(5);
/// A token that ends sooner is said.
const TOKEN_LEFT_MIN: Duration = Duration::from_secs(14 * 24 * 3_600);
const NO_TOKEN: &str = "nothing is sent with it: a new token into its file is read within a second";

pub async fn look(
    scope: &Scope<'_>,
    credentials: Credentials,
    ledger: Option<&dyn Ledger>,
    needs: &[Needs],
    findings: &mut Findings,
) -> Result<()> {
    let config = scope.config;
    let api = CloudApi::new(&config.cloud_api, credentials.meta_token)?;
    let orders = match ledger {
        Some(ledger) => orders::read(ledger).await.unwrap_or_default(),
        None => Orders::default(),
    };
    let until = Instant::now() + WITHIN;
    clock(&api, scope.now, findings).await;
    let (mut limit, mut able) = (None, 0);
    for number in &config.numbers {
        let own = credentials.number_tokens.get(&number.id);
        let api = own.map_or_else(|| api.clone(), |token| api.with_token(token.clone()));
        let told = check_number(&api, number, until, findings).await;
        let ordered = orders.percent(&number.id, scope.now) == 0;
        able += usize::from(!ordered && told.as_ref().is_none_or(NumberInfo::can_send));
        limit = limit.max(told.and_then(|info| info.people_a_day()));
    }
    if able == 0 {
        let then = "nothing can be sent: `subah numbers list` says by whose order, the WhatsApp Manager what Meta holds against them";
        findings.no_go("numbers", "none of them may send", "", then);
    }
    portfolio(limit, needs.iter().map(|needs| u64::from(needs.people)).sum(), findings);
    media(&api, scope, needs, until, findings).await;
    token(&api, scope.now, until, findings).await;
    let Some(waba) = &config.waba_id else {
        findings.not_checked("templates and subscription", "cloud_api.waba_id is not set");
        return Ok(());
    };
    subscription(&api, waba, until, findings).await;
    let standing = match ledger {
        Some(ledger) => standing::read(ledger).await.unwrap_or_default(),
        None => Standing::default(),
    };
    for one in &scope.campaigns {
        campaign(&api, waba, one, (&standing, until), findings).await;
    }
    Ok(())
}

/// What was asked, or why there is no answer.
async fn asked<T>(
    what: &str,
    call: impl Future<Output = std::result::Result<T, CallError>>,
    until: Instant,
    findings: &mut Findings,
) -> Option<T> {
    match tokio::time::timeout_at(until, call).await {
        Ok(Ok(answer)) => Some(answer),
        Err(_) => {
            findings.not_checked(what, format!("no answer in {WITHIN:?}"));
            None
        }
        Ok(Err(error)) => {
            let is_general = error.is_about_everything();
            let is_answer = matches!(error, CallError::Refused { .. });
            let seen = DeskError::from(error).chain();
            match (is_general, is_answer) {
                (true, _) => findings.no_go(what, seen, "", NO_TOKEN),
                (false, true) => findings.judge(false, what, seen, "", ""),
                (false, false) => findings.not_checked(what, seen),
            }
            None
        }
    }
}

async fn clock(api: &CloudApi, here: Timestamp, findings: &mut Findings) {
    let what = "clocks of this host and Meta";
    match api.server_time().await {
        None => findings.not_checked(what, "Meta did not answer in three seconds"),
        Some(there) => {
            let apart = there.since(here).max(here.since(there));
            findings.judge(
                apart <= APART_MAX,
                what,
                format!("{} s apart", apart.as_secs()),
                "5 s at most",
                "set it by NTP: arrivals are judged by Meta's clock",
            );
        }
    }
}

async fn subscription(api: &CloudApi, waba: &str, until: Instant, findings: &mut Findings) {
    let what = format!("account {waba}");
    if let Some(n) = asked(&what, api.subscribed_apps(waba), until, findings).await {
        findings.judge(
            n > 0,
            what,
            match n {
                0 => "no app is subscribed, so no status will come".to_owned(),
                n => format!("{n} apps are subscribed to its webhooks"),
            },
            "",
            "subscribe the app to the account at Meta",
        );
    }
}

async fn token(api: &CloudApi, now: Timestamp, until: Instant, findings: &mut Findings) {
    let what = "token";
    let told = match tokio::time::timeout_at(until, api.token_info()).await {
        Ok(Ok(told)) => told,
        // Whether it is good, every other question says; its end is told to some tokens only.
        Ok(Err(_)) => {
            return findings.not_checked(what, "when it ends: Meta does not tell this one");
        }
        Err(_) => return findings.not_checked(what, format!("no answer in {WITHIN:?}")),
    };
    if !told.is_valid {
        return findings.no_go(what, "Meta calls it invalid", "", NO_TOKEN);
    }
    match told.expires_at {
        None => findings.ok(what, "it is valid and never ends"),
        Some(end) => {
            let left = end.since(now);
            findings.judge(
                left >= TOKEN_LEFT_MIN,
                what,
                format!("it ends in {} days", left.as_secs() / (24 * 3_600)),
                "14 days at least",
                "make a new one, or one of a system user, which does not end",
            );
        }
    }
}

/// Asks with the token that the number is sent from with.
async fn check_number(
    api: &CloudApi,
    number: &BusinessNumber,
    until: Instant,
    findings: &mut Findings,
) -> Option<NumberInfo> {
    let what = format!("number {}", number.id);
    let info = asked(&what, api.number(&number.id), until, findings).await?;
    let NumberInfo { verified_name, status, quality_rating, .. } = &info;
    findings.judge(
        info.is_connected(),
        what.clone(),
        format!("{verified_name} {status}, quality {quality_rating}"),
        "CONNECTED",
        "its deliveries move to other numbers, if there are any that may send",
    );
    match quality_rating.as_str() {
        "RED" | "YELLOW" => findings.judge(
            false,
            what,
            format!("quality {quality_rating}"),
            "GREEN",
            "readers block it or do not read: fewer messages through it, another wording",
        ),
        _ => {}
    }
    check_limits(number, &info, findings);
    Some(info)
}

/// The limit is one for all numbers of the portfolio: that of whichever number tells the most.
fn portfolio(limit: Option<u64>, people: u64, findings: &mut Findings) {
    let what = "messaging limit of the portfolio";
    match limit {
        None => findings.not_checked(what, "Meta does not say"),
        Some(u64::MAX) => findings.ok(what, "unlimited"),
        Some(limit) => findings.judge(
            limit >= people,
            what,
            format!("{limit} people in any 24 hours, the next runs are for {people}"),
            "",
            "Meta refuses the rest: verify the business, or send to fewer until the limit rises",
        ),
    }
}

/// What a number may do, against what it is meant to do.
fn check_limits(number: &BusinessNumber, info: &NumberInfo, findings: &mut Findings) {
    let what = format!("number {}", number.id);
    match info.throughput.level.as_str() {
        "" => findings.not_checked(what.clone(), "throughput level"),
        "HIGH" => findings.ok(what.clone(), "throughput HIGH, up to 1,000/s"),
        level => findings.judge(
            number.throughput <= 80,
            what.clone(),
            format!("throughput {level}, up to 80/s, {}/s configured", number.throughput),
            "",
            "Meta slows it down: lower `throughput`, or ask for HIGH",
        ),
    }
    match info.health_status.can_send_message.as_str() {
        "" => findings.not_checked(what, "health status"),
        health => findings.judge(
            health == "AVAILABLE",
            what,
            format!("may send: {health}"),
            "AVAILABLE",
            "the WhatsApp Manager says what limits it",
        ),
    }
}

/// Whether Meta still holds what the content names by id, and the hosts of links answer.
async fn media(
    api: &CloudApi,
    scope: &Scope<'_>,
    needs: &[Needs],
    until: Instant,
    findings: &mut Findings,
) {
    let ids: BTreeSet<&String> = needs.iter().flat_map(|needs| &needs.media_ids).collect();
    let (mut known, mut unknown) = (0, 0);
    if let Some(number) = scope.config.numbers.first() {
        for id in ids {
            match asked("media", api.knows_media(&number.id, id), until, findings).await {
                None => break, // said
                Some(true) => known += 1,
                Some(false) => unknown += 1,
            }
        }
    }
    let links: BTreeSet<&String> = needs.iter().flat_map(|needs| &needs.media_links).collect();
    for link in links {
        let what = format!("media link {}", host(link));
        let Ok(url) = Url::parse(link) else { continue }; // refused when it was imported
        match tokio::time::timeout_at(until, api.link_status(&url)).await {
            Ok(Ok(status)) if (200..300).contains(&status) => known += 1,
            Ok(Ok(status)) => findings.judge(
                false,
                what,
                format!("HTTP {status}"),
                "200",
                "Meta cannot fetch it either (131053): its recipients get nothing",
            ),
            Ok(Err(error)) => {
                findings.not_checked(what, DeskError::from(error).chain());
            }
            Err(_) => return findings.not_checked(what, format!("no answer in {WITHIN:?}")),
        }
    }
    if unknown > 0 {
        let seen = format!("{unknown} ids of the content are not known to Meta");
        let then = "ids live for thirty days, and belong to one number: give files instead";
        findings.judge(false, "media", seen, "", then);
    }
    if known > 0 {
        findings
            .ok("media", format!("{known} pictures of the content were asked for and are there"));
    }
}

/// A link's host alone: the rest may name a person.
fn host(link: &str) -> String {
    let url = Url::parse(link).ok();
    url.and_then(|url| url.host_str().map(str::to_owned)).unwrap_or_default()
}

/// Each translation of a campaign's templates, and whether anything can be sent at all.
async fn campaign(
    api: &CloudApi,
    waba: &str,
    one: &CampaignConfig,
    (standing, until): (&Standing, Instant),
    findings: &mut Findings,
) {
    let (mut asked_all, mut sendable) = (true, 0);
    for template in one.campaign.templates() {
        let what = format!("template {}", template.name);
        let family = family_of(&template.name).0;
        let Some(found) = asked(&what, api.templates(waba, family), until, findings).await else {
            asked_all = false;
            continue;
        };
        sendable += translations(one, template, &found, standing, findings);
    }
    if asked_all && sendable == 0 {
        let id = &one.campaign.id;
        let then = "nothing can be sent: `subah templates doctor` says what to do";
        findings.no_go(format!("campaign {id}"), "no translation of it is approved", "", then);
    }
}

/// How many translations can be sent.
fn translations(
    one: &CampaignConfig,
    template: &TemplateDefinition,
    found: &[TemplateInfo],
    standing: &Standing,
    findings: &mut Findings,
) -> usize {
    let name = &template.name;
    let is = |info: &&TemplateInfo, name: &str, language: &str| {
        info.name == name && info.language == language
    };
    let mut sendable = BTreeSet::new();
    for language in &template.languages {
        let what = format!("template {name} in {language}");
        let own = found.iter().find(|info| is(info, name, language));
        let instead = standing
            .substitutes()
            .find(|held| held.planned == *name && held.language == *language)
            .and_then(|held| found.iter().find(|info| is(info, &held.live, language)))
            .filter(|info| info.is_approved());
        let approved = own.is_some_and(TemplateInfo::is_approved);
        if approved || instead.is_some() {
            sendable.insert(language);
        }
        let status = own.map_or("missing", |info| info.status.as_str());
        let (seen, then) = match (approved, instead) {
            (true, _) => ("approved".to_owned(), String::new()),
            (false, Some(live)) => {
                (format!("NOT APPROVED, {status}"), format!("{} goes in its place", live.name))
            }
            (false, None) => (
                format!("NOT APPROVED, {status}"),
                "its recipients get nothing, unless another version goes: `subah templates doctor`"
                    .to_owned(),
            ),
        };
        findings.judge(approved, what.clone(), seen, "", &then);
        let goes = instead.or(own.filter(|_| approved));
        if let Some(live) = goes.filter(|live| !live.is_of(one.campaign.category.as_str())) {
            let seen = format!(
                "{} goes, and Meta files it under {}",
                live.name,
                live.category.to_lowercase()
            );
            let then = "each message costs by Meta's category, and consent is asked by ours";
            findings.judge(false, what.clone(), seen, one.campaign.category.as_str(), then);
        }
        let Some(own) = own.filter(|_| approved) else { continue };
        for misfit in own.misfits(template) {
            let then = "Meta refuses each message (132000, 132012): put the configuration right";
            findings.judge(false, what.clone(), misfit, "", then);
        }
        if Rating::of(own.quality()) < Rating::Unknown {
            let seen = format!("quality {}", own.quality());
            findings.judge(false, what, seen, "GREEN", "have another version approved");
        }
    }
    sendable.len()
}

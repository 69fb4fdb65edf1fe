//! The next run of a campaign, as it is planned or would be planned now.

use std::collections::BTreeSet;

use chrono::NaiveDate;
use config::CampaignConfig;
use domain::{RunId, State, Timestamp};
use ledger::{Ledger, Phase, Run};
use scheduler::daily::Due;

use super::{Findings, Scope};
use crate::error::Result;
use crate::files::Files;
use crate::foresight::{self, Foreseen};
use crate::named;

/// What of the next run is asked of Meta and others.
#[derive(Default)]
pub struct Needs {
    /// To how many people it is sent.
    pub people: u32,
    /// Media that the content names by an id of Meta's, or by a link.
    pub media_ids: BTreeSet<String>,
    pub media_links: BTreeSet<String>,
}

impl Needs {
    fn of(people: u32) -> Self {
        Needs { people, ..Needs::default() }
    }
}

/// Looks at the run; what it needs of others is still to be asked.
pub async fn look(
    scope: &Scope<'_>,
    one: &CampaignConfig,
    ledger: Option<&dyn Ledger>,
    findings: &mut Findings,
) -> Result<Needs> {
    let (config, now) = (scope.config, scope.now);
    let id = &one.campaign.id;
    let due = match one.daily.due(now, |_| false) {
        Due::Now { date, .. } | Due::Wait { date, .. } => Some(date),
        Due::Over => None,
    };
    days(one, now, findings);
    let asked = scope.date.map(|date| named::date(date, config)).transpose()?;
    let Some(next) = asked.or(due) else {
        findings.not_checked(format!("{id} has no further date"), "");
        return Ok(Needs::default());
    };
    if let Some(why) = one.daily.days.why_not(next) {
        findings.ok(format!("{id} has no run on {next}: {why}"), "");
        return Ok(Needs::default());
    }
    let run = RunId::new(id, next);
    for list in Files::of(config).lists_never_imported(one) {
        findings.judge(
            false,
            format!("the run {run}"),
            format!("the list {list} of its audience was never imported"),
            "",
            &format!("`subah recipients import FILE --list {list}`"),
        );
    }
    if let Some(ledger) = ledger {
        before(ledger, one, next, now, findings).await?;
        if let Some(to_send) = planned(ledger, &run, one, findings).await? {
            return Ok(Needs::of(to_send));
        }
    }
    let found = foresight::look(config, one, next, now).await?;
    let Some(found) = found else { return Ok(Needs::default()) };
    foreseen(&run, one, next, &found, findings);
    let Foreseen { sendable: people, media_ids, media_links, .. } = found;
    Ok(Needs { people, media_ids, media_links })
}

/// What is left out tomorrow is said today; and a file of holidays that ends is said in time.
fn days(one: &CampaignConfig, now: Timestamp, findings: &mut Findings) {
    let (id, today) = (&one.campaign.id, one.daily.window.date_at(now));
    let tomorrow = today.succ_opt().filter(|_| one.daily.days.only.is_none());
    if let Some(why) = tomorrow.and_then(|date| one.daily.days.why_not(date)) {
        findings.ok(format!("{id} has no run tomorrow: {why}"), "");
    }
    if let Some(until) = one.holidays_until {
        findings.judge(
            until >= today,
            id.as_str(),
            format!("the last holiday that holidays_file knows is {until}"),
            "one that is still to come",
            "get the exchange's list of this year: on holidays it sends",
        );
    }
}

fn foreseen(
    run: &RunId,
    one: &CampaignConfig,
    date: NaiveDate,
    found: &Foreseen,
    findings: &mut Findings,
) {
    let id = &one.campaign.id;
    let enough = found.is_enough(one.sla_target);
    if found.sendable == 0 {
        let then =
            "nobody would get anything: is the content imported and approved, for each language?";
        findings.no_go(format!("the run {run}"), "nobody can be sent to", "", then);
    }
    let Foreseen { wanted, sendable, numbers_needed, numbers, fits, .. } = found;
    findings.judge(
        enough,
        format!("the run {run}"),
        format!(
            "{sendable} of {wanted} recipients who agreed can be sent to, {:.1} % are promised (`subah plan --campaign {id} --date {date}` says who not and why)",
            one.sla_target * 100.0
        ),
        "",
        "the others are left out: is the content imported and approved, for each language?",
    );
    findings.judge(
        *fits,
        format!("the run {run}"),
        format!("{numbers_needed} numbers needed, {numbers} configured"),
        "",
        "what does not fit the window goes late or expires: more numbers, or a longer window",
    );
}

/// Yesterday's run ought to be over.
async fn before(
    ledger: &dyn Ledger,
    one: &CampaignConfig,
    next: NaiveDate,
    now: Timestamp,
    findings: &mut Findings,
) -> Result<()> {
    let old = |run: &Run| {
        run.header.id.campaign() == one.campaign.id.as_str()
            && run.header.id.date() < next
            && run.header.window.deadline < now
            && matches!(run.phase, Phase::Planning | Phase::Open | Phase::Paused)
    };
    let open: BTreeSet<RunId> = ledger
        .active_runs()
        .await?
        .into_iter()
        .filter(old)
        .map(|run| run.header.id.clone())
        .collect();
    for run in open {
        findings.judge(
            false,
            format!("the run {run}"),
            "its deadline has passed, and it is not closed",
            "",
            "the sweeper of a running daemon closes it; `subah runs show` says what is open",
        );
    }
    Ok(())
}

/// To how many people a run that is planned is sent: its rows are fixed, and nothing is foreseen.
async fn planned(
    ledger: &dyn Ledger,
    id: &RunId,
    one: &CampaignConfig,
    findings: &mut Findings,
) -> Result<Option<u32>> {
    let Some(run) = ledger.run(id).await? else { return Ok(None) };
    if run.phase == Phase::Planning {
        return Ok(None);
    }
    let counts = ledger.counts(id).await?;
    let (all, left_out) = (run.total(), counts.get(State::Suppressed));
    let what = format!("the run {id}");
    findings.judge(
        run.phase != Phase::Paused && run.phase != Phase::Cancelled,
        what.clone(),
        format!("it is planned and {}", run.phase.as_str()),
        "open",
        "`subah runs resume` or `subah runs replan`",
    );
    // Whoever did not agree is left out on purpose; the plan has said how many could not be sent to.
    let to_send = u32::try_from(counts.sum(|state| state != State::Suppressed)).unwrap_or(u32::MAX);
    if to_send == 0 {
        let then = "nobody gets anything: put the content right, then `subah runs replan`";
        findings.no_go(what.clone(), "nobody can be sent to", "", then);
    }
    findings.judge(
        to_send > 0,
        what,
        format!("{to_send} of {all} deliveries are to be sent, {left_out} are left out ({:.1} % are promised)", one.sla_target * 100.0),
        "",
        "`subah deliveries list --state suppressed` says why",
    );
    Ok(Some(to_send))
}

//! Sends another version while Meta has stopped the planned one, and the planned one again
//! afterwards.
//!
//! Asks Meta every minute around a window, every ten at other times, and at once when a webhook
//! spoke of a template or a sender was refused for one. [`catalogue::rotation`] decides; each change
//! is said, noted in the audit file, and takes effect in every sender within a quarter of a second.
//! Invariants: what a person chose stays until a person takes it back; an answer that does not come
//! changes nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::{Context, Result};
use catalogue::files::family_of;
use catalogue::rotation::{Candidate, Decision, can_stand_in, decide, usable_versions};
use cloud_api::account::TemplateInfo;
use config::Config;
use domain::campaign::Category;
use domain::{Clock, Language, NumberId, TemplateName, Timestamp};
use ledger::halts::{self, Thing};
use ledger::standing::{self, Standing, Substitute};
use quality::Rating;
use telemetry::Fault;
use telemetry::labels::Loop;
use templates::TemplateDefinition;
use tokio_util::sync::CancellationToken;

use crate::keepers::{self, AGAIN, ask_after, look_after};
use crate::parts::Parts;

/// A version that was stopped rests so long, unless its readers like it by then.
const REST: Duration = Duration::from_secs(7 * 24 * 3_600);
/// Who decides, in the words of the audit.
const KEEPER: &str = "the template keeper";

/// What was looked at last.
#[derive(Default)]
struct Looked {
    /// When Meta answered last.
    at: Option<Timestamp>,
    /// When Meta may be asked again after it did not.
    not_before: Timestamp,
    news: Timestamp,
    stopped: BTreeSet<Thing>,
    /// What was said of each translation last: each thing is said once.
    said: BTreeMap<(TemplateName, Language), String>,
    fault: Fault,
}

/// Until `stop`.
pub async fn run(config: &Config, parts: &Parts, stop: CancellationToken) {
    let waba = config.waba_id.as_deref().filter(|_| config.drafts.rotate);
    let mut looked = Looked::default();
    loop {
        let pause = look_after(config, parts.clock.now());
        if stop.run_until_cancelled(tokio::time::sleep(pause)).await.is_none() {
            return;
        }
        let now = parts.clock.now();
        let done = match waba {
            Some(waba) => Keeper { config, parts, waba, looked: &mut looked, now }.look().await,
            None => Ok(()),
        };
        match done {
            Ok(()) => {
                parts.metrics.process.loop_success.of(Loop::TemplateKeeper).set(now.secs_f64());
            }
            Err(error) => {
                looked.not_before = now + AGAIN;
                if looked.fault.met(&format!("{error:#}")) {
                    tracing::error!("how the templates stand is not known: {error:#}");
                }
            }
        }
    }
}

/// One look, and what it is made with.
struct Keeper<'a> {
    config: &'a Config,
    parts: &'a Parts,
    waba: &'a str,
    looked: &'a mut Looked,
    now: Timestamp,
}

impl Keeper<'_> {
    async fn look(&mut self) -> Result<()> {
        let ledger = self.parts.ledger.as_ref();
        let news = standing::news_at(ledger).await.context("ask the ledger for news")?;
        let stopped: BTreeSet<Thing> = halts::read(ledger)
            .await
            .context("ask the ledger what is stopped")?
            .into_iter()
            .map(|halt| halt.thing)
            .filter(|thing| matches!(thing, Thing::Translation(..)))
            .collect();
        let pause = ask_after(self.config, self.now);
        let due = self.looked.at.is_none_or(|at| self.now.since(at) >= pause);
        let told = news > self.looked.news || !stopped.is_subset(&self.looked.stopped);
        if self.now < self.looked.not_before || !(due || told) {
            return Ok(());
        }
        self.round().await?;
        if let Some(met) = self.looked.fault.over() {
            tracing::info!("how the templates stand is known again; {met} tries had failed");
        }
        let looked = &mut *self.looked;
        (looked.at, looked.news, looked.stopped) = (Some(self.now), news, stopped);
        Ok(())
    }

    async fn round(&mut self) -> Result<()> {
        let mut families: BTreeMap<String, Vec<TemplateInfo>> = BTreeMap::new();
        let numbers: BTreeSet<NumberId> =
            self.config.numbers.iter().map(|number| number.id.clone()).collect();
        for one in &self.config.campaigns {
            for planned in one.campaign.templates() {
                let family = family_of(&planned.name).0.to_owned();
                if !families.contains_key(&family) {
                    // Graph's filter finds every name that contains the family's.
                    let found = self.parts.api.templates(self.waba, &family).await?;
                    families.insert(family.clone(), found);
                }
                let seen = candidates(planned, one.campaign.category, &families[&family], &numbers);
                for language in &planned.languages {
                    self.judge(&planned.name, language, &seen).await?;
                }
            }
        }
        Ok(())
    }

    async fn judge(
        &mut self,
        name: &TemplateName,
        language: &Language,
        seen: &[Candidate],
    ) -> Result<()> {
        let Some(decision) = decide(name, language, seen) else {
            let nothing = "Meta does not list it; nothing is concluded from that";
            self.say_once(name, language, format!("template {name} ({language}): {nothing}"));
            return Ok(());
        };
        let ledger = self.parts.ledger.as_ref();
        let held: Standing = standing::read(ledger).await?;
        let is_it = |one: &&Substitute| one.planned == *name && one.language == *language;
        let substitute = held.substitutes().find(is_it);
        let own = seen.iter().find(|one| one.name == *name && one.language == *language);
        let is_liked = own.is_some_and(|own| own.quality == Rating::Green);
        let is_substituted = match follow(&decision, substitute, seen, is_liked, self.now) {
            Step::Stay => substitute.is_some(),
            Step::Say(words) => {
                self.say_once(name, language, words);
                substitute.is_some()
            }
            Step::Restore => {
                keepers::note(self.config, KEEPER, &format!("{name} ({language}) is sent again"));
                standing::restore(ledger, name, language).await?;
                tracing::warn!("template {name} ({language}) can be sent again, and is");
                self.looked.said.remove(&(name.clone(), language.clone()));
                false
            }
            Step::Put { live, numbers, why } => {
                let (planned, language) = (name.clone(), language.clone());
                let (since, by) = (self.now, KEEPER.to_owned());
                let words = format!("{live} goes in place of {planned} ({language}): {why}");
                keepers::note(self.config, KEEPER, &words);
                let one = Substitute { planned, language, live, numbers, since, by, why };
                standing::substitute(ledger, one).await?;
                tracing::error!("template {words}; `subah templates doctor` says more");
                true
            }
        };
        let labels = [&**name, &**language];
        let usable = i64::try_from(usable_versions(name, language, seen)).unwrap_or(i64::MAX);
        let metrics = &self.parts.metrics.standing;
        metrics.usable_versions.with_label_values(&labels).set(usable);
        metrics.substituted.with_label_values(&labels).set(i64::from(is_substituted));
        Ok(())
    }

    fn say_once(&mut self, name: &TemplateName, language: &Language, words: String) {
        let key = (name.clone(), language.clone());
        if self.looked.said.get(&key) != Some(&words) {
            tracing::error!("{words}");
            self.looked.said.insert(key, words);
        }
    }
}

fn candidates(
    planned: &TemplateDefinition,
    category: Category,
    infos: &[TemplateInfo],
    numbers: &BTreeSet<NumberId>,
) -> Vec<Candidate> {
    let candidate = |info: &TemplateInfo| Candidate {
        name: info.name.as_str().into(),
        language: info.language.as_str().into(),
        numbers: numbers.clone(),
        approved: info.is_approved(),
        quality: Rating::of(info.quality()),
        same_category: info.is_of(category.as_str()),
        fits: info.misfits(planned).is_empty(),
    };
    infos.iter().map(candidate).collect()
}

/// What is done about one translation.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    Stay,
    Say(String),
    Put { live: TemplateName, numbers: BTreeSet<NumberId>, why: String },
    Restore,
}

/// A decision beside what stands there now.
fn follow(
    decision: &Decision,
    held: Option<&Substitute>,
    seen: &[Candidate],
    is_liked: bool,
    now: Timestamp,
) -> Step {
    let goes = |one: &Substitute| can_stand_in(&one.live, &one.language, seen);
    match (decision, held) {
        (_, Some(one)) if one.by != KEEPER => match goes(one) {
            true => Step::Stay,
            false => Step::Say(format!(
                "template {} goes in place of {} ({}) by the word of {}, and cannot be sent: `subah templates restore` takes it back",
                one.live, one.planned, one.language, one.by
            )),
        },
        (Decision::Planned, None) => Step::Stay,
        (Decision::Planned, Some(one)) => {
            let rested = now.since(one.since) >= REST;
            if is_liked || rested || !goes(one) { Step::Restore } else { Step::Stay }
        }
        (_, Some(one)) if goes(one) => Step::Stay,
        (Decision::Instead { live, numbers, why }, _) => {
            Step::Put { live: live.clone(), numbers: numbers.clone(), why: why.clone() }
        }
        (Decision::Nothing { why }, _) => Step::Say(format!("no version can take over: {why}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

    fn candidate(name: &str, approved: bool) -> Candidate {
        Candidate {
            name: name.into(),
            language: "en".into(),
            numbers: BTreeSet::new(),
            approved,
            quality: Rating::Unknown,
            same_category: true,
            fits: true,
        }
    }

    fn held(live: &str, by: &str, since: Timestamp) -> Substitute {
        Substitute {
            planned: "pack_v2".into(),
            language: "en".into(),
            live: live.into(),
            numbers: BTreeSet::new(),
            since,
            by: by.to_owned(),
            why: "paused".to_owned(),
        }
    }

    fn step(seen: &[Candidate], held: Option<&Substitute>, is_liked: bool) -> Step {
        let decision = decide(&"pack_v2".into(), &"en".into(), seen).unwrap();
        follow(&decision, held, seen, is_liked, NOW)
    }

    #[test]
    fn what_a_person_chose_stays() {
        let seen = [candidate("pack_v2", false), candidate("pack_v1", true)];
        let theirs = held("pack_v1", "asha", NOW);
        assert_eq!(step(&seen, Some(&theirs), false), Step::Stay);
        let good = [candidate("pack_v2", true), candidate("pack_v1", true)];
        assert_eq!(step(&good, Some(&theirs), true), Step::Stay);
        let theirs = held("pack_v9", "asha", NOW);
        assert!(matches!(step(&seen, Some(&theirs), false), Step::Say(_)));
    }

    #[test]
    fn a_version_that_was_stopped_rests_or_is_liked_again() {
        let seen = [candidate("pack_v2", true), candidate("pack_v1", true)];
        let ours = held("pack_v1", KEEPER, NOW - Duration::from_secs(3 * 3_600));
        assert_eq!(step(&seen, Some(&ours), false), Step::Stay, "a pause of three hours is over");
        assert_eq!(step(&seen, Some(&ours), true), Step::Restore);
        let long_ago = held("pack_v1", KEEPER, NOW - REST);
        assert_eq!(step(&seen, Some(&long_ago), false), Step::Restore);
        let gone = [candidate("pack_v2", true), candidate("pack_v1", false)];
        assert_eq!(step(&gone, Some(&ours), false), Step::Restore, "its stand-in is stopped too");
    }

    #[test]
    fn a_stand_in_is_changed_only_when_it_cannot_go() {
        let seen =
            [candidate("pack_v2", false), candidate("pack_v1", true), candidate("pack_v3", true)];
        assert!(matches!(step(&seen, None, false), Step::Put { .. }));
        let ours = held("pack_v3", KEEPER, NOW);
        assert_eq!(step(&seen, Some(&ours), false), Step::Stay);
        let ours = held("pack_v0", KEEPER, NOW);
        assert!(matches!(step(&seen, Some(&ours), false), Step::Put { .. }));
        let alone = [candidate("pack_v2", false)];
        assert!(matches!(step(&alone, None, false), Step::Say(_)));
    }
}

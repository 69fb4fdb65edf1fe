//! Which version of a family goes when the planned one cannot. Pure.

use std::collections::{BTreeMap, BTreeSet};

use domain::{Language, NumberId, TemplateName};
use quality::Rating;

use crate::files::family_of;

/// One translation of one version in one account, as far as a decision needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    pub name: TemplateName,
    pub language: Language,
    /// The numbers of ours whose account it stands in.
    pub numbers: BTreeSet<NumberId>,
    pub approved: bool,
    pub quality: Rating,
    /// In the campaign's own category: one that costs seven times as much takes nobody's place.
    pub same_category: bool,
    /// Takes the planned one's parameters as they are.
    pub fits: bool,
}

/// What should go in place of a planned translation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// The planned one can be sent: nothing stands in for it.
    Planned,
    /// This version stands in, through these numbers.
    Instead { live: TemplateName, numbers: BTreeSet<NumberId>, why: String },
    /// Nothing can be sent, and why.
    Nothing { why: String },
}

/// Decides for one planned translation among everything of its family that was seen. `None`: the
/// planned one was not seen at all, and nobody concludes anything from that.
pub fn decide(planned: &TemplateName, language: &Language, seen: &[Candidate]) -> Option<Decision> {
    let mine = |one: &&Candidate| one.language == *language;
    let own = seen.iter().filter(mine).find(|one| one.name == *planned)?;
    if usable(own) {
        return Some(Decision::Planned);
    }
    let why = why_not(own);
    let (family, version) = family_of(planned);
    let related = |one: &&Candidate| {
        one.name != *planned && family_of(&one.name).0 == family && usable(one) && one.fits
    };
    // The best score first; of equals the version nearest below the planned one, which readers know.
    let rank = |one: &Candidate| {
        let (own, its) = (version.unwrap_or(0), family_of(&one.name).1.unwrap_or(0));
        (one.quality, its < own, std::cmp::Reverse(own.abs_diff(its)))
    };
    let best = seen.iter().filter(mine).filter(related).max_by_key(|one| rank(one));
    Some(match best {
        Some(best) => Decision::Instead {
            live: best.name.clone(),
            numbers: best.numbers.clone(),
            why: format!("{planned} ({language}) {why}"),
        },
        None => {
            let others = BTreeMap::from_iter(
                seen.iter()
                    .filter(mine)
                    .filter(|o| o.name != *planned)
                    .map(|o| (&o.name, why_not(o))),
            );
            let others: Vec<String> =
                others.into_iter().map(|(name, why)| format!("{name} {why}")).collect();
            let others = match others.is_empty() {
                true => "it has no other version".to_owned(),
                false => others.join(", "),
            };
            Decision::Nothing { why: format!("{planned} ({language}) {why}; {others}") }
        }
    })
}

/// Whether a version can stand in for a planned one.
pub fn can_stand_in(name: &TemplateName, language: &Language, seen: &[Candidate]) -> bool {
    seen.iter().any(|one| one.name == *name && one.language == *language && usable(one) && one.fits)
}

/// How many versions of the planned one's family could go, itself among them.
pub fn usable_versions(planned: &TemplateName, language: &Language, seen: &[Candidate]) -> usize {
    let family = family_of(planned).0;
    let goes = |one: &&Candidate| {
        one.language == *language
            && family_of(&one.name).0 == family
            && usable(one)
            && (one.fits || one.name == *planned)
    };
    seen.iter().filter(goes).count()
}

fn usable(one: &Candidate) -> bool {
    one.approved && one.same_category && one.quality != Rating::Red
}

fn why_not(one: &Candidate) -> String {
    match one {
        _ if !one.approved => "is not approved".to_owned(),
        _ if !one.same_category => "was moved to another category".to_owned(),
        _ if one.quality == Rating::Red => "has quality RED".to_owned(),
        _ if !one.fits => "takes other parameters".to_owned(),
        _ => "can be sent".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(name: &str) -> Candidate {
        Candidate {
            name: name.into(),
            language: "en".into(),
            numbers: BTreeSet::from([NumberId::try_new("1").unwrap()]),
            approved: true,
            quality: Rating::Green,
            same_category: true,
            fits: true,
        }
    }

    fn live(seen: &[Candidate]) -> Option<String> {
        match decide(&"pack_v2".into(), &"en".into(), seen)? {
            Decision::Planned => Some("planned".into()),
            Decision::Instead { live, .. } => Some(live.to_string()),
            Decision::Nothing { why } => Some(format!("nothing: {why}")),
        }
    }

    #[test]
    fn the_planned_one_goes_while_it_can() {
        assert_eq!(live(&[one("pack_v3"), one("pack_v2")]).unwrap(), "planned");
        assert_eq!(live(&[one("pack_v3")]), None, "not seen is not refused");
        let hindi = Candidate { language: "hi".into(), approved: false, ..one("pack_v2") };
        assert_eq!(live(&[hindi]), None);
    }

    #[test]
    fn versions_that_could_go_are_counted() {
        let (planned, en) = ("pack_v2".into(), "en".into());
        let bad = Candidate { fits: false, ..one("pack_v3") };
        let paused = Candidate { approved: false, ..one("pack_v1") };
        let seen = [one("pack_v2"), bad, paused, one("pack_v4"), one("other_v1")];
        assert_eq!(usable_versions(&planned, &en, &seen), 2);
        assert!(can_stand_in(&"pack_v4".into(), &en, &seen));
        assert!(!can_stand_in(&"pack_v3".into(), &en, &seen));
        assert!(!can_stand_in(&"pack_v4".into(), &"hi".into(), &seen));
    }

    #[test]
    fn the_best_sibling_stands_in() {
        let stopped = [
            Candidate { approved: false, ..one("pack_v2") },
            Candidate { same_category: false, ..one("pack_v2") },
            Candidate { quality: Rating::Red, ..one("pack_v2") },
        ];
        for stopped in stopped {
            let yellow = Candidate { quality: Rating::Yellow, ..one("pack_v1") };
            let seen = [stopped.clone(), yellow, one("pack_v3"), one("other_v2")];
            assert_eq!(live(&seen).unwrap(), "pack_v3", "the better score");
            let seen = [stopped.clone(), one("pack_v3"), one("pack_v1"), one("pack_v0")];
            assert_eq!(live(&seen).unwrap(), "pack_v1", "readers know the one before");
            let bad = Candidate { fits: false, ..one("pack_v3") };
            let said = live(&[stopped, bad, one("other_v2")]).unwrap();
            assert!(said.starts_with("nothing: pack_v2 (en)"), "{said}");
            assert!(said.contains("takes other parameters"), "{said}");
        }
    }
}

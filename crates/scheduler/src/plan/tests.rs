//! Goal: one plan per snapshot; nobody early, everybody in their tier's slice, the same
//! number from day to day, and everyone left out named with a reason.

use domain::{Address, NumberId, Phone, RecipientId};
use templates::ParameterFormat;
use templates::definition::HeaderFormat;

use super::*;
use crate::campaign::{Audience, Defaults, Family};
use domain::BusinessNumber;
use domain::campaign::{CampaignId, Category};
use templates::TemplateDefinition;
use templates::lint::Lint;

pub fn at(secs: i64) -> Timestamp {
    Timestamp::from_secs(secs)
}

pub fn number(id: &str, weight: u32) -> BusinessNumber {
    BusinessNumber { id: NumberId::try_new(id).unwrap(), throughput: 80, weight }
}

pub fn campaign() -> Campaign {
    Campaign {
        id: CampaignId::try_new("daily-pack").unwrap(),
        category: Category::Utility,
        template: TemplateDefinition {
            name: "daily_pack".into(),
            languages: vec!["en".into(), "hi".into()],
            parameter_format: ParameterFormat::Named,
            header: HeaderFormat::None,
            header_parameter: None,
            body_parameters: vec!["first_name".into(), "headline".into()],
            buttons: vec![],
            body_text: None,
        },
        default_language: "en".into(),
        tiers: vec!["pro".into(), "standard".into(), "basic".into()],
        numbers: vec![number("1001", 1), number("1002", 1), number("1003", 2)],
        defaults: Defaults::default(),
        lint: Lint::default(),
        families: vec![],
    }
}

pub fn recipient(n: u32) -> Recipient {
    Recipient {
        id: RecipientId::new(format!("r{n:05}")),
        name: "Asha Rao".into(),
        address: Address::Phone(Phone::try_new(format!("+9198{n:08}")).unwrap()),
        tier: ["pro", "standard", "basic", "other"][(n % 4) as usize].into(),
        language: "hi".into(),
        consent_utility: true,
        consent_marketing: false,
        opted_in_at: None,
        attributes: BTreeMap::new(),
    }
}

pub fn content(id: &str) -> Content {
    Content {
        recipient_id: RecipientId::new(id),
        params: [("headline".to_owned(), "NIFTY up".to_owned())].into(),
        header: None,
        media: None,
        filename: None,
        buttons: BTreeMap::new(),
        approved_by: Some("Meera".into()),
        held_back: None,
        approved_at: Some(at(1)),
    }
}

pub fn window() -> Window {
    Window {
        opens: at(1_000),
        target: at(1_030),
        spread_until: at(1_240),
        closes: at(1_300),
        deadline: at(1_330),
    }
}

fn snapshot(campaign: Campaign, recipients: Vec<Recipient>) -> Snapshot {
    Snapshot::take(campaign, recipients, vec![content("*")]).snapshot
}

fn run(date: &str) -> RunId {
    RunId::new(&campaign().id, date.parse().unwrap())
}

fn plan<'a>(snapshot: &'a Snapshot, date: &str) -> Plan<'a> {
    Plan::new(snapshot, run(date), window(), at(900))
}

#[test]
fn the_same_inputs_in_any_order_give_the_same_plan() {
    let recipients: Vec<Recipient> = (0..500).map(recipient).collect();
    let reversed: Vec<Recipient> = recipients.iter().rev().cloned().collect();
    let (a, b) = (snapshot(campaign(), recipients), snapshot(campaign(), reversed));
    assert_eq!(a.hash, b.hash);
    let (a, b) = (plan(&a, "2026-11-21"), plan(&b, "2026-11-21"));
    for index in 0..a.total() {
        let (a, b) = (a.at(index), b.at(index));
        assert_eq!((a.due_at, a.lane, a.call.is_ok()), (b.due_at, b.lane, true));
    }
}

#[test]
fn tiers_go_one_after_the_other_and_fill_the_spread_evenly() {
    let snapshot = snapshot(campaign(), (0..4_000).map(recipient).collect());
    let plan = plan(&snapshot, "2026-11-21");
    let mut minutes = [0u32; 4];
    for index in 0..plan.total() {
        let due = plan.at(index).due_at;
        let tier = plan.tier(&snapshot.rows[index as usize].recipient);
        let slice = (at(1_000 + 60 * tier as i64), at(1_060 + 60 * tier as i64));
        assert!(due >= slice.0 && due < slice.1, "tier {tier} at {due}");
        minutes[((due.secs() - 1_000) / 60) as usize] += 1;
    }
    assert_eq!(minutes, [1_000; 4]);
    // Chi-square over 24 bins of 10 s; 41.6 is the 1 % point of 23 degrees of freedom.
    let mut bins = [0f64; 24];
    (0..plan.total()).for_each(|i| bins[((plan.at(i).due_at.secs() - 1_000) / 10) as usize] += 1.0);
    let expected = 4_000.0 / 24.0;
    let chi: f64 = bins.iter().map(|n| (n - expected).powi(2) / expected).sum();
    assert!(chi < 41.6, "chi-square {chi}");
}

#[test]
fn a_recipient_keeps_the_number_from_day_to_day_and_through_changes() {
    let recipients: Vec<Recipient> = (0..4_000).map(recipient).collect();
    let before = snapshot(campaign(), recipients.clone());
    let mut grown = campaign();
    grown.numbers.push(number("1004", 1));
    let after = snapshot(grown, recipients);
    let (monday, tuesday) = (plan(&before, "2026-11-23"), plan(&before, "2026-11-24"));
    let grown = plan(&after, "2026-11-24");
    let (mut share, mut moved, mut other_due) = ([0u32; 4], 0, 0);
    for index in 0..monday.total() {
        let lane = monday.at(index).lane.unwrap();
        assert_eq!(tuesday.at(index).lane, Some(lane));
        other_due += u32::from(tuesday.at(index).due_at != monday.at(index).due_at);
        share[usize::from(lane)] += 1;
        let new = grown.at(index).lane.unwrap();
        if new != lane {
            assert_eq!(new, 3, "moved to an old number");
            moved += 1;
        }
    }
    assert!(other_due > 3_900, "the minute changes from day to day");
    for (n, want) in share.iter().zip([1_000, 1_000, 2_000]) {
        assert!(n.abs_diff(want) < 120, "{share:?}");
    }
    assert!((700..900).contains(&moved), "a fifth of the weight takes a fifth: {moved}");
}

#[test]
fn everyone_left_out_has_a_reason() {
    let people = vec![
        recipient(0),
        Recipient { consent_utility: false, ..recipient(1) },
        recipient(2),
        recipient(3),
    ];
    let mut unapproved = content("r00002");
    unapproved.approved_by = None;
    let mut wrong = content("r00003");
    wrong.params = [("mood".to_owned(), "good".to_owned())].into();
    let taken = Snapshot::take(campaign(), people, vec![unapproved, wrong, content("nobody")]);
    assert_eq!(taken.for_nobody.len(), 1);
    let plan = plan(&taken.snapshot, "2026-11-21");
    let reasons: Vec<Suppression> =
        (0..4).map(|i| plan.at(i).call.map(drop).unwrap_err().reason).collect();
    use Suppression::{BadParameters, NoConsent, NoContent, NotApproved};
    assert_eq!(reasons, [NoContent, NoConsent, NotApproved, BadParameters]);
    let chunk = plan.chunk(0, &plan.order(), &MediaIds::default());
    assert!(chunk.rows.iter().all(|row| row.ended.is_some()));
    assert!(chunk.bodies.is_empty());
}

#[test]
fn deliveries_are_numbered_by_when_they_are_due() {
    let snapshot = snapshot(campaign(), (0..300).map(recipient).collect());
    let plan = plan(&snapshot, "2026-11-21");
    let rows = plan.chunk(0, &plan.order(), &MediaIds::default()).rows;
    assert!(rows.is_sorted_by_key(|row| row.due_at));
    let people: std::collections::BTreeSet<_> = rows.iter().map(|r| &r.message.recipient).collect();
    assert_eq!(people.len(), 300, "each once");
}

#[test]
fn equal_bodies_are_stored_once_and_first_names_come_from_the_list() {
    let snapshot = snapshot(campaign(), (0..10).map(recipient).collect());
    let plan = plan(&snapshot, "2026-11-21");
    let chunk = plan.chunk(0, &plan.order(), &MediaIds::default());
    assert_eq!((chunk.rows.len(), chunk.bodies.len()), (10, 1));
    let body = chunk.bodies.values().next().unwrap();
    assert!(body.contains("\"text\":\"Asha\"") && body.contains("\"language\":\"hi\""), "{body}");
}

#[test]
fn a_snapshot_comes_back_as_it_was_or_not_at_all() {
    let dir = tempfile::tempdir().unwrap();
    let snapshot = snapshot(campaign(), (0..10).map(recipient).collect());
    snapshot.save(dir.path()).unwrap();
    let back = Snapshot::load(dir.path(), &snapshot.hash).unwrap();
    assert_eq!((back.rows.len(), &back.hash), (10, &snapshot.hash));
    let path = dir.path().join(format!("{}.ndjson", snapshot.hash));
    let text = std::fs::read_to_string(&path).unwrap().replace("Asha", "Usha");
    std::fs::write(&path, text).unwrap();
    let error = Snapshot::load(dir.path(), &snapshot.hash).unwrap_err().to_string();
    assert!(error.contains("was changed after"), "{error}");
}

/// Pro gets a picture; whoever has none gets the text, and so does everybody else.
#[test]
fn a_family_gets_its_own_template_and_falls_back_without_a_picture() {
    let mut campaign = campaign();
    let template = TemplateDefinition {
        name: "daily_pack_image".into(),
        header: HeaderFormat::Image,
        ..campaign.template.clone()
    };
    campaign.families =
        vec![Family { tiers: vec!["pro".into()], attributes: BTreeMap::new(), template }];
    let with_picture = |id: &str| Content {
        media: Some(Media::Link("https://cdn.example.in/a.jpg".into())),
        ..content(id)
    };
    // r0 and r4 are pro, r1 is standard.
    let rows = vec![with_picture("r00000"), with_picture("r00001"), content("*")];
    let people: Vec<Recipient> = [0, 1, 4].into_iter().map(recipient).collect();
    let snapshot = Snapshot::take(campaign, people, rows).snapshot;
    let plan = plan(&snapshot, "2026-11-21");
    let got = |index| {
        let planned = plan.at(index);
        let call = planned.call.unwrap_or_else(|left| panic!("{index}: {}", left.detail));
        (planned.choice, call.name.to_string(), call.header.is_some())
    };
    assert_eq!(got(0), (Choice::Family(0), "daily_pack_image".to_owned(), true));
    assert_eq!(got(1), (Choice::Own, "daily_pack".to_owned(), false), "a text needs no picture");
    assert_eq!(got(2), (Choice::NoMedium(0), "daily_pack".to_owned(), false));
}

#[test]
fn a_column_may_decide_the_family() {
    let gold = Family {
        tiers: vec![],
        attributes: [("firm_type".to_owned(), "gold".to_owned())].into(),
        template: campaign().template,
    };
    let mut one = recipient(1);
    assert!(!gold.has(&one), "nobody said");
    one.attributes.insert("firm_type".into(), " gold ".into());
    assert!(gold.has(&one));
    one.attributes.insert("firm_type".into(), "silver".into());
    assert!(!gold.has(&one));
}

#[test]
fn a_no_of_somebody_outside_the_audience_counts() {
    let audience = Audience { tiers: vec!["pro".into()], ..Audience::default() };
    let mut second = recipient(1); // standard
    second.address = recipient(0).address; // the same person
    second.consent_utility = false;
    let people = vec![recipient(0), second, recipient(3), recipient(4)];
    let rows = vec![content("*"), content("r00003"), content("r99999")];
    let taken = Snapshot::take_of(campaign(), &audience, people, rows);
    assert_eq!((taken.snapshot.rows.len(), taken.outside), (2, 2));
    assert!(!taken.snapshot.rows[0].recipient.consent_utility, "r0 said no in another row");
    assert!(taken.snapshot.rows[1].recipient.consent_utility);
    let nobody: Vec<&str> = taken.for_nobody.iter().map(|row| row.recipient_id.as_str()).collect();
    assert_eq!(nobody, ["r99999"], "content for who is outside is for somebody");
    let tagged = Audience { tags: vec!["Trial".into()], ..Audience::default() };
    let mut one = recipient(1);
    assert!(!tagged.has(&one));
    one.attributes.insert("tags".into(), "vip; trial".into());
    assert!(tagged.has(&one));
}

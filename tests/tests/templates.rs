//! Goal: a template that is paused in the middle of a run does not end it: another approved version
//! goes in its place within a second, and each attempt says what went.
//! Method: the real process; the simulator's list of templates is changed under it.

use std::time::Duration;

use serde_json::{Value, json};
use tests::install::{Install, Times};
use tests::until;

const PEOPLE: u64 = 90;
const TIMES: Times = Times { opens_in: Duration::from_secs(4), length: Duration::from_secs(50) };

/// The account's templates: status and body variables of each.
fn list(install: &Install, all: &[(&str, &str, &[&str])]) {
    let listed = all.iter().map(|(name, status, variables)| {
        let template = json!({"name": name, "languages": ["en"], "body_parameters": variables});
        json!({"status": status, "template": template})
    });
    let text = Value::from_iter(listed).to_string();
    std::fs::write(install.path("templates.json"), text).unwrap();
}

/// Who puts another version in place of one that is stopped.
#[derive(Clone, Copy, PartialEq, Eq)]
enum By {
    Hand,
    Keeper,
}

fn install(by: By) -> Install {
    let install = Install::with_templates(PEOPLE as u32, TIMES);
    let config = install.path("subah.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    let text = text.replace("[cloud_api]", "[cloud_api]\nwaba_id = \"1022\"");
    let rotate = by == By::Keeper;
    std::fs::write(&config, format!("{text}\n[templates]\nrotate = {rotate}\n")).unwrap();
    install
}

/// Which template each accepted message had.
fn went(install: &Install, name: &str) -> u64 {
    let deliveries = tests::install::get_json(&format!("{}/oracle/deliveries", install.simulator));
    let all = deliveries.as_object().unwrap().values().flat_map(|all| all.as_array().unwrap());
    all.filter(|message| message["template"] == name).count() as u64
}

const BOTH: &[&str] = &["first_name", "headline"];

#[test]
fn a_version_goes_in_place_of_one_that_is_paused_in_the_middle_of_a_run() {
    let install = install(By::Hand);
    list(&install, &[("daily_pack", "APPROVED", BOTH), ("daily_pack_v2", "APPROVED", BOTH)]);
    let _daemon = install.start(&["serve"]);
    until("some messages", || (went(&install, "daily_pack") > 5).then_some(()));
    list(&install, &[("daily_pack", "PAUSED", BOTH), ("daily_pack_v2", "APPROVED", BOTH)]);
    let stopped = || {
        let status = install.output(&["status"]);
        String::from_utf8_lossy(&status.stdout).contains("template daily_pack (en)").then_some(())
    };
    until("the stop to be said", stopped);
    let shown = install.output(&["templates", "list"]);
    assert_eq!(shown.status.code(), Some(1), "nothing is in its place");
    assert!(String::from_utf8_lossy(&shown.stdout).contains("PAUSED"));
    let substitute =
        ["templates", "substitute", "daily_pack_v2", "--reason", "paused at Meta", "--yes"];
    let said = install.ok(&substitute);
    assert!(said.contains("daily_pack_v2 (en) can go in place of daily_pack"), "{said}");
    let all =
        || (went(&install, "daily_pack") + went(&install, "daily_pack_v2") == PEOPLE).then_some(());
    until("everybody", all);
    let shown = install.ok(&["templates", "list", "--format", "json"]);
    assert!(shown.contains("paused at Meta, by "), "{shown}");
    assert_eq!(install.oracle()["oracle"]["duplicates"], 0);
    let delivered = || {
        let states = install.report()?["states"].clone();
        (states["delivered"].as_u64()? + states["read"].as_u64()? == PEOPLE).then_some(())
    };
    until("every arrival", delivered);
    let second = went(&install, "daily_pack_v2");
    let listed = install.ok(&["deliveries", "list", "--limit", "1000", "--format", "json"]);
    let all: Value = serde_json::from_str(&listed).unwrap();
    let named = all.as_array().unwrap().iter().filter(|delivery| {
        let id = delivery["delivery"].as_str().or(delivery["id"].as_str()).unwrap();
        install.ok(&["deliveries", "show", id]).contains("daily_pack_v2")
    });
    assert_eq!(named.count() as u64, second, "each attempt says what went");
}

/// Nobody is awake: the best approved version that takes the same parameters goes, and the planned
/// one stays away after its pause until it has rested.
#[test]
fn the_keeper_puts_the_best_version_in_place_of_one_that_is_paused() {
    let install = install(By::Keeper);
    let other: &[&str] = &["first_name", "mood"];
    let listed = |planned| {
        [
            ("daily_pack", planned, BOTH),
            ("daily_pack_v2", "PENDING", BOTH),
            ("daily_pack_v3", "APPROVED", other),
            ("daily_pack_v4", "APPROVED", BOTH),
        ]
    };
    list(&install, &listed("APPROVED"));
    let _daemon = install.start(&["serve"]);
    until("some messages", || (went(&install, "daily_pack") > 5).then_some(()));
    list(&install, &listed("PAUSED"));
    let all =
        || (went(&install, "daily_pack") + went(&install, "daily_pack_v4") == PEOPLE).then_some(());
    until("everybody", all);
    assert!(went(&install, "daily_pack_v4") > 0);
    assert_eq!(install.oracle()["oracle"]["duplicates"], 0);
    let shown = install.ok(&["templates", "list", "--format", "json"]);
    assert!(shown.contains("is not approved, by the template keeper"), "{shown}");
    let doctor = install.output(&["templates", "doctor", "--format", "json"]);
    let said = String::from_utf8_lossy(&doctor.stdout).into_owned();
    assert_eq!(doctor.status.code(), Some(1), "a campaign's own template is not approved: {said}");
    assert!(said.contains("daily_pack_v4 goes in its place"), "{said}");
    let audit = std::fs::read_to_string(install.path("state/audit.ndjson")).unwrap();
    assert!(audit.contains("the template keeper"), "{audit}");
    let (_, metrics) = install.get("/metrics").unwrap();
    let substituted = "subah_template_substituted{language=\"en\",template=\"daily_pack\"} 1";
    assert!(metrics.contains(substituted), "{metrics}");
    let usable = "subah_template_usable_versions{language=\"en\",template=\"daily_pack\"} 1";
    assert!(metrics.contains(usable), "{metrics}");
    // A person's word goes before the keeper's.
    install.ok(&["templates", "restore"]);
    list(&install, &listed("APPROVED"));
    let doctor = install.ok(&["templates", "doctor", "daily_pack", "--format", "json"]);
    assert!(!doctor.contains("goes in its place"), "{doctor}");
}

#[test]
fn what_would_be_refused_does_not_go_in_anybodys_place() {
    let install = install(By::Hand);
    let other: &[&str] = &["first_name", "mood"];
    list(
        &install,
        &[
            ("daily_pack", "APPROVED", BOTH),
            ("daily_pack_v2", "PENDING", BOTH),
            ("daily_pack_v3", "APPROVED", other),
        ],
    );
    let cases = [
        (vec!["daily_pack_v2"], "it is PENDING at Meta"),
        (vec!["daily_pack_v3"], "body variables: first_name, mood at Meta"),
        (vec!["daily_pack_v"], "Meta has no such translation"),
        (vec!["daily_pack"], "is the campaign's own template"),
        (vec!["Daily Pack"], "is not a template's name"),
        (vec!["daily_pack_v2", "--language", "hi"], "has no translation \"hi\""),
    ];
    for (args, want) in cases {
        let mut command = vec!["templates", "substitute"];
        command.extend(&args);
        command.extend(["--reason", "a trial", "--yes"]);
        let output = install.output(&command);
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        assert!(!output.status.success() && said.contains(want), "{args:?}: {said}");
    }
    let silent = ["templates", "substitute", "daily_pack_v2", "--reason", " ", "--yes"];
    assert_eq!(install.output(&silent).status.code(), Some(2), "a reason says something");
    // Another category is another price, and another consent.
    let variables = json!(BOTH);
    let marketing = json!([{"status": "APPROVED", "template":
        {"name": "daily_pack", "languages": ["en"], "body_parameters": variables}},
        {"status": "APPROVED", "category": "MARKETING", "template":
        {"name": "daily_pack_v5", "languages": ["en"], "body_parameters": variables}}]);
    std::fs::write(install.path("templates.json"), marketing.to_string()).unwrap();
    let output =
        install.output(&["templates", "substitute", "daily_pack_v5", "--reason", "x", "--yes"]);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(!output.status.success() && said.contains("another consent"), "{said}");
    let unknown = install.output(&["templates", "doctor", "daily_pakc"]);
    assert_eq!(unknown.status.code(), Some(1), "an empty table is no good news");
    let shown = install.ok(&["templates", "list", "--format", "csv"]);
    assert!(shown.contains("en,APPROVED,,daily_pack,"), "nothing was changed: {shown}");
    let dry = install.ok(&["templates", "restore"]);
    assert!(dry.contains("no ledger yet") || dry.contains("had a substitute"), "{dry}");
}

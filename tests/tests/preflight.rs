//! Goal: before a run everything is looked at, and the outcome says what it is: go, degraded or no-go;
//! what nobody answered is never ok.
//! Method: the real command and the real daemon against the simulator, whose templates and token are
//! changed under them.

use std::time::Duration;

use serde_json::{Value, json};
use tests::install::{Install, Times};
use tests::until;

const VARIABLES: &[&str] = &["first_name", "headline"];

/// A campaign in `en`, and the account's templates beside it.
fn install(opens_in: u64, listed: &[(&str, &str)]) -> Install {
    let times = Times { opens_in: Duration::from_secs(opens_in), length: Duration::from_secs(60) };
    let install = Install::with_templates(4, times);
    let config = install.path("subah.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    let text = text.replace("[cloud_api]", "[cloud_api]\nwaba_id = \"1022\"");
    std::fs::write(&config, text).unwrap();
    list(&install, listed);
    install
}

fn list(install: &Install, listed: &[(&str, &str)]) {
    let listed = listed.iter().map(|(name, status)| {
        let template = json!({"name": name, "languages": ["en"], "body_parameters": VARIABLES});
        json!({"status": status, "template": template})
    });
    let text = Value::from_iter(listed).to_string();
    std::fs::write(install.path("templates.json"), text).unwrap();
}

/// Exit code, outcome, and the findings that are not ok.
fn check(install: &Install) -> (Option<i32>, String, Vec<Value>) {
    let output = install.output(&["check", "--run", "--format", "json"]);
    let told: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|e| {
        panic!("{e}: {}", String::from_utf8_lossy(&output.stderr));
    });
    let findings = told["findings"].as_array().unwrap().iter().filter(|f| f["found"] != "ok");
    let outcome = told["outcome"].as_str().unwrap().to_owned();
    (output.status.code(), outcome, findings.cloned().collect())
}

fn says(findings: &[Value], what: &str, word: &str) -> bool {
    let text = |finding: &Value, key: &str| finding[key].as_str().unwrap_or("").to_owned();
    findings.iter().any(|finding| {
        let all = ["what", "seen", "expected", "then"].map(|key| text(finding, key)).join(" ");
        all.contains(what) && all.contains(word)
    })
}

#[test]
fn a_template_that_is_stopped_degrades_and_none_at_all_is_no_go() {
    let install = install(3_600, &[("daily_pack", "APPROVED")]);
    let (code, outcome, findings) = check(&install);
    assert_eq!(code, Some(0), "{findings:?}");
    assert_ne!(outcome, "no-go", "{findings:?}");
    assert!(findings.iter().all(|f| f["found"] == "not_checked"), "{findings:?}");
    list(&install, &[("daily_pack", "PAUSED")]);
    let (code, outcome, findings) = check(&install);
    assert_eq!((code, outcome.as_str()), (Some(1), "no-go"));
    assert!(says(&findings, "template daily_pack in en", "PAUSED"), "{findings:?}");
    assert!(says(&findings, "campaign", "no translation of it is approved"), "{findings:?}");
    // Another version goes: less than was meant, and it goes.
    list(&install, &[("daily_pack", "PAUSED"), ("daily_pack_v2", "APPROVED")]);
    install.ok(&["templates", "substitute", "daily_pack_v2", "--reason", "paused", "--yes"]);
    let (code, outcome, findings) = check(&install);
    assert_eq!((code, outcome.as_str()), (Some(0), "degraded"));
    assert!(says(&findings, "template daily_pack in en", "daily_pack_v2 goes in its place"));
    let shown = String::from_utf8(install.output(&["check", "--run"]).stdout).unwrap();
    assert!(shown.contains("DEGRADED"), "{shown}");
}

#[test]
fn a_token_that_is_refused_is_no_go_and_a_far_side_that_is_away_is_not_ok() {
    let install = install(3_600, &[("daily_pack", "APPROVED")]);
    std::fs::write(install.path("token"), "another").unwrap();
    let (code, outcome, findings) = check(&install);
    assert_eq!((code, outcome.as_str()), (Some(1), "no-go"));
    assert!(says(&findings, "number", "190"), "{findings:?}");
    assert!(!serde_json::to_string(&findings).unwrap().contains("another"), "no token is told");
    // Nobody answers: that is not ok, and no reason to call the morning off.
    let config = install.path("subah.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    let away = format!("http://127.0.0.1:{}", tests::free_port());
    std::fs::write(&config, text.replace(&install.simulator, &away)).unwrap();
    let (code, outcome, findings) = check(&install);
    assert_eq!((code, outcome.as_str()), (Some(0), "degraded"), "{findings:?}");
    let asked = findings.iter().filter(|f| f["found"] == "not_checked").count();
    assert!(asked >= 5, "{findings:?}");
}

#[test]
fn content_that_is_missing_degrades_and_for_nobody_is_no_go() {
    let install = install(3_600, &[("daily_pack", "APPROVED")]);
    let import = |row: &Value| {
        let file = install.path("other.ndjson");
        std::fs::write(&file, format!("{row}\n")).unwrap();
        install.ok(&["content", "import", file.to_str().unwrap(), "--yes"]);
    };
    import(&json!({"recipient_id": "nobody", "params": {"headline": "x"}}));
    let (code, outcome, findings) = check(&install);
    assert_eq!((code, outcome.as_str()), (Some(1), "no-go"), "nobody would get anything");
    assert!(says(&findings, "the run", "0 of 4 recipients who agreed can be"), "{findings:?}");
    import(&json!({"recipient_id": "r00000", "params": {"headline": "x"}, "approved_by": "C",
        "approved_at": "2026-01-15T18:00:00+05:30"}));
    let (code, outcome, findings) = check(&install);
    assert_eq!((code, outcome.as_str()), (Some(0), "degraded"));
    assert!(says(&findings, "the run", "1 of 4 recipients"), "{findings:?}");
}

/// A person has paused the one number, Meta has banned the other.
#[test]
fn no_number_that_may_send_is_no_go() {
    let times = Times { opens_in: Duration::from_secs(3_600), length: Duration::from_secs(60) };
    let install = Install::with_numbers(4, times);
    let banned = json!({"1001": {"status": "BANNED"}});
    std::fs::write(install.path("numbers.json"), banned.to_string()).unwrap();
    let (code, outcome, _) = check(&install);
    assert_eq!((code, outcome.as_str()), (Some(0), "degraded"));
    install.ok(&["numbers", "pause", "1002", "--reason", "a trial"]);
    let (code, outcome, findings) = check(&install);
    assert_eq!((code, outcome.as_str()), (Some(1), "no-go"));
    assert!(says(&findings, "numbers", "none of them may send"), "{findings:?}");
}

/// The limit is one for all numbers together.
#[test]
fn a_portfolio_that_may_not_reach_everybody_degrades() {
    let times = Times { opens_in: Duration::from_secs(3_600), length: Duration::from_secs(60) };
    let install = Install::with_numbers(60, times);
    let say = |tier: &str| {
        let told = json!({"1001": {"messaging_limit_tier": "TIER_50"}, "1002": {"messaging_limit_tier": tier}});
        std::fs::write(install.path("numbers.json"), told.to_string()).unwrap();
    };
    say("TIER_50");
    let (code, outcome, findings) = check(&install);
    assert_eq!((code, outcome.as_str()), (Some(0), "degraded"));
    assert!(
        says(&findings, "messaging limit", "50 people in any 24 hours, the next runs are for 60"),
        "{findings:?}"
    );
    say("TIER_250");
    let (_, _, findings) = check(&install);
    assert!(!says(&findings, "messaging limit", "people"), "{findings:?}");
    say("TIER_OF_ANOTHER_AGE");
    std::fs::write(install.path("numbers.json"), "garbage").unwrap();
    let (code, _, _) = check(&install);
    assert_eq!(code, Some(0), "a far side that says odd things is no reason to call it off");
}

/// Pictures that Meta holds, or has to fetch from somewhere.
#[test]
fn pictures_that_are_not_there_are_said_by_host_alone() {
    let install = install(3_600, &[]);
    let config = install.path("subah.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    let image = "name = \"daily_pack\"\nheader = \"image\"\n";
    std::fs::write(&config, text.replace("name = \"daily_pack\"\n", image)).unwrap();
    let import = |media: &Value| {
        let row = json!({"recipient_id": "*", "params": {"headline": "NIFTY up"}, "media": media,
            "approved_by": "C", "approved_at": "2026-01-15T18:00:00+05:30"});
        let file = install.path("with-picture.ndjson");
        std::fs::write(&file, format!("{row}\n")).unwrap();
        install.ok(&["content", "import", file.to_str().unwrap(), "--yes"]);
    };
    import(&json!({"id": "1013859600285441"}));
    let (_, outcome, findings) = check(&install);
    assert_ne!(outcome, "go");
    assert!(says(&findings, "media", "1 ids of the content are not known to Meta"), "{findings:?}");
    import(&json!({"link": "https://cdn.no-such-host-at-all.in/asha-9876500001.jpg"}));
    let (_, _, findings) = check(&install);
    assert!(says(&findings, "media link cdn.no-such-host-at-all.in", "no answer"), "{findings:?}");
    let all = serde_json::to_string(&findings).unwrap();
    assert!(!all.contains("9876500001"), "{all}");
}

#[test]
fn the_daemon_looks_before_the_run_and_keeps_what_it_found() {
    let install = install(30, &[("daily_pack", "PAUSED")]);
    let _daemon = install.start(&["serve"]);
    let kept = until("the outcome", || {
        let text = std::fs::read(install.path("state/preflight/daily-pack.json")).ok()?;
        serde_json::from_slice::<Value>(&text).ok()
    });
    assert_eq!(kept["outcome"], "no-go", "{kept}");
    let (_, metrics) = install.get("/metrics").unwrap();
    let level = "subah_preflight_outcome{campaign=\"daily-pack\"} 2";
    assert!(metrics.contains(level), "{level}");
}

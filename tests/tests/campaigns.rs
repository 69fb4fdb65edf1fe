//! Goal: one process serves several campaigns, each with its own days, window, people and templates,
//! and each says for itself how its run went.
//! Method: real processes; rehearsals against the built-in simulator, and a daemon against another.

use std::time::Duration;

use serde_json::Value;
use tests::install::{Install, Times};
use tests::until;

const TIMES: Times = Times { opens_in: Duration::from_secs(5), length: Duration::from_secs(10) };

/// A morning pack in two families, an evening pack for those who try it, and a broadcast.
fn campaigns(install: &Install, date: &str) {
    let (path, one) = (install.path("subah.toml"), install.path("one.toml"));
    if !one.exists() {
        std::fs::copy(&path, &one).unwrap();
    }
    let text = std::fs::read_to_string(&one).unwrap();
    let (shared, campaign) = text.split_once("[campaign.window]").unwrap();
    let (window, _) = campaign.split_once("[campaign.template]").unwrap();
    let text = format!(
        r#"{shared}
[[campaigns]]
id = "daily-pack"
[campaigns.window]{window}
[campaigns.template]
name = "daily_pack"
body_parameters = ["first_name", "headline"]
[[campaigns.families]]
tiers = ["pro"]
[campaigns.families.template]
name = "daily_pack_image"
header = "image"
body_parameters = ["first_name", "headline"]

[[campaigns]]
id = "status-pack"
[campaigns.audience]
lists = ["trial"]
tags = ["evening"]
[campaigns.window]{window}
[campaigns.template]
name = "status_pack"
body_parameters = ["headline"]

[[campaigns]]
id = "notice"
date = "{date}"
numbers = ["1002"]
[campaigns.window]{window}
[campaigns.template]
name = "notice"
body_parameters = ["headline"]
"#
    );
    std::fs::write(path, text).unwrap();
}

const TRIAL: &str = "id,name,phone,tier,language,consent_utility,tags\n\
    t1,Tara,9876500001,pro,en,yes,evening\n\
    t2,Uma,9876500002,pro,en,yes,morning\n\
    t3,Veer,9876500003,pro,en,yes,\"vip, Evening\"\n";
const PICTURES: &str = "recipient_id,headline,media,approved_by,approved_at\n\
    r00000,Yours,https://cdn.example.in/a.jpg,C,2026-01-15\n\
    *,NIFTY up,,C,2026-01-15\n";
const TEXT: &str = "recipient_id,headline,approved_by,approved_at\n*,Markets close,C,2026-01-15\n";

fn made(people: u32) -> Install {
    let install = Install::new(people, TIMES);
    campaigns(&install, "2026-01-01");
    let today = today(&install);
    campaigns(&install, &today);
    let import = |kind: &str, campaign: &str, name: &str, text: &str| {
        let path = install.path(name);
        std::fs::write(&path, text).unwrap();
        install.ok(&[kind, "import", path.to_str().unwrap(), "--campaign", campaign, "--yes"]);
    };
    import("content", "daily-pack", "pictures.csv", PICTURES);
    import("content", "status-pack", "text.csv", TEXT);
    import("content", "notice", "text.csv", TEXT);
    let path = install.path("trial.csv");
    std::fs::write(&path, TRIAL).unwrap();
    install.ok(&[
        "recipients",
        "import",
        path.to_str().unwrap(),
        "--list",
        "trial",
        "--default-country",
        "IN",
    ]);
    install
}

/// The civil date in the campaigns' zone, as a plan says.
fn today(install: &Install) -> String {
    let plan = install.output(&["plan", "--campaign", "daily-pack", "--format", "json"]);
    let plan: Value = serde_json::from_slice(&plan.stdout).unwrap();
    plan["run"].as_str().unwrap().split_once('@').unwrap().1.to_owned()
}

#[test]
fn a_day_of_three_campaigns_is_rehearsed_with_a_report_each() {
    let install = made(12);
    let dir = install.path("rehearsed");
    let args = ["rehearse", "--window", "4s", "--faults", "none", "--format", "json"];
    let said = install.ok(&[&args[..], &["--dir", dir.to_str().unwrap()]].concat());
    let reports: Vec<Value> =
        said.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of = |campaign: &str| {
        let ours = |report: &&Value| report["run"].as_str().unwrap().starts_with(campaign);
        reports.iter().find(ours).unwrap_or_else(|| panic!("no report of {campaign}: {said}"))
    };
    for (campaign, people) in [("daily-pack", 12), ("status-pack", 2), ("notice", 12)] {
        let report = of(campaign);
        assert_eq!(report["planned"], people, "{campaign}: {report}");
        assert_eq!(report["by_deadline"]["delivered"], people, "{campaign}: {report}");
        assert_eq!(report["oracle"]["duplicates"], 0, "{campaign}: {report}");
        assert_eq!(report["oracle"]["lost"], 0, "{campaign}: {report}");
    }
    let folder = std::fs::read_dir(&dir).unwrap().next().unwrap().unwrap().path();
    for campaign in ["daily-pack", "status-pack", "notice"] {
        assert!(folder.join(format!("report-{campaign}.html")).exists());
    }
    // One of them alone, on a day on which it does not run.
    campaigns(&install, "2026-01-01");
    let none = install.output(&[&args[..], &["--campaign", "notice"]].concat());
    let said = String::from_utf8_lossy(&none.stdout).into_owned();
    assert_eq!(
        (none.status.code(), said.contains("no campaign has a run")),
        (Some(1), true),
        "{said}"
    );
}

#[test]
fn whoever_has_no_picture_gets_the_text_and_the_plan_counts_them() {
    let install = made(12);
    let plan = install.ok(&["plan", "--campaign", "daily-pack", "--format", "json"]);
    let plan: Value = serde_json::from_str(&plan).unwrap();
    let families = &plan["families"];
    // All are pro: r00000 has a picture, the others have none.
    assert_eq!(families["daily_pack_image"], 1, "{plan}");
    assert_eq!(families["daily_pack"], 11, "{plan}");
    assert_eq!(plan["without_picture"]["daily_pack_image"], 11, "{plan}");
    let body = install.ok(&["content", "preview", "r00000", "--campaign", "daily-pack"]);
    assert!(body.contains("daily_pack_image") && body.contains("a.jpg"), "{body}");
    let table = install.ok(&["plan", "--campaign", "daily-pack"]);
    assert!(table.contains("11 of daily_pack_image have no picture and get daily_pack"), "{table}");
}

#[test]
fn a_daemon_sends_each_campaign_and_commands_ask_which_one_is_meant() {
    let install = made(12);
    let asked = install.output(&["plan"]);
    let said = String::from_utf8_lossy(&asked.stderr).into_owned();
    assert_eq!(asked.status.code(), Some(2), "{said}");
    assert!(said.contains("--campaign with one of daily-pack, status-pack, notice"), "{said}");
    // A timer names none: all three are due at once, so that it cannot be guessed.
    let timer = install.output(&["run", "--if-not-started"]);
    assert_eq!(timer.status.code(), Some(2), "{}", String::from_utf8_lossy(&timer.stderr));
    let none = install.output(&["status", "--campaign", "weekly"]);
    assert_eq!(none.status.code(), Some(2), "{}", String::from_utf8_lossy(&none.stderr));
    let check = install.output(&["check", "--offline"]);
    let check = String::from_utf8_lossy(&check.stdout).into_owned();
    for campaign in ["daily-pack", "status-pack", "notice"] {
        assert!(check.contains(&format!("the run {campaign}@")), "{check}");
    }
    let _daemon = install.start(&["serve"]);
    let arrived = |campaign: &str| {
        let report = install.output(&["report", "--campaign", campaign, "--format", "json"]);
        let report: Value = serde_json::from_slice(&report.stdout).ok()?;
        report["by_deadline"]["delivered"].as_u64()
    };
    for (campaign, people) in [("daily-pack", 12), ("status-pack", 2), ("notice", 12)] {
        until(&format!("all of {campaign}"), || (arrived(campaign) == Some(people)).then_some(()));
    }
    let (_, metrics) = install.get("/metrics").unwrap();
    for campaign in ["daily-pack", "status-pack", "notice"] {
        let opens = format!("subah_campaign_opens_timestamp_seconds{{campaign=\"{campaign}\"}} 1");
        assert!(metrics.contains(&opens), "{opens} in {metrics}");
    }
    assert!(metrics.contains("subah_run_recipients{campaign=\"status-pack\"} 2"), "{metrics}");
    assert_eq!(install.oracle()["oracle"]["duplicates"], 0);
    let runs = install.ok(&["runs", "list", "--format", "csv"]);
    assert_eq!(runs.lines().count(), 4, "a line each: {runs}");
}

#[test]
fn a_campaign_that_cannot_be_planned_holds_up_no_other() {
    let install = made(12);
    let today = today(&install);
    let stored = install.path(&format!("state/content/status-pack/{today}.ndjson"));
    std::fs::remove_file(&stored).unwrap();
    std::fs::create_dir(&stored).unwrap(); // a disk that answers with an error
    let _daemon = install.start(&["serve"]);
    let arrived = |campaign: &str| {
        let report = install.output(&["report", "--campaign", campaign, "--format", "json"]);
        let report: Value = serde_json::from_slice(&report.stdout).ok()?;
        report["by_deadline"]["delivered"].as_u64()
    };
    for campaign in ["daily-pack", "notice"] {
        until(campaign, || (arrived(campaign) == Some(12)).then_some(()));
    }
    assert_eq!(arrived("status-pack"), None);
}

/// Nobody has brought tomorrow's content: the daemon says so long before the plan.
#[test]
fn content_that_is_missing_is_said_before_the_plan() {
    let install = Install::new(8, Times { opens_in: Duration::from_secs(1_500), ..TIMES });
    let path = install.path("subah.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    let soon = text.replace("[campaign.window]", "[campaign.window]\nplan_lead = \"1s\"");
    std::fs::write(&path, &soon).unwrap();
    let metric = |install: &Install| {
        let (_, metrics) = install.get("/metrics")?;
        let name = "subah_campaign_next_sendable_ratio{campaign=\"daily-pack\"} ";
        let value = metrics.lines().find_map(|line| line.strip_prefix(name).map(str::to_owned));
        let looked = "subah_loop_last_success_timestamp_seconds{loop=\"foresight\"} 1";
        value.filter(|_| metrics.contains(looked))
    };
    let daemon = install.start(&["serve"]);
    assert_eq!(until("a look ahead", || metric(&install)), "1");
    drop(daemon);
    std::fs::write(
        &path,
        soon.replace("[campaign.window]", "[campaign]\nid = \"evening-pack\"\n[campaign.window]"),
    )
    .unwrap();
    let log = std::fs::File::create(install.path("serve.log")).unwrap();
    let mut command = install.command(&["serve"]);
    let _daemon = tests::install::Running(command.stderr(log).spawn().unwrap());
    let said = until("a word", || {
        let said = std::fs::read_to_string(install.path("serve.log")).unwrap();
        said.contains("is not ready: 0 of 8").then_some(said)
    });
    assert!(said.contains("the run of evening-pack"), "{said}");
}

/// A stranger renamed a campaign while its run was open: everybody got two messages, without a word.
#[test]
fn an_open_run_of_a_campaign_that_was_renamed_is_named_and_so_is_a_list_that_nobody_imported() {
    let install = Install::new(8, Times { opens_in: Duration::from_secs(1_200), ..TIMES });
    let daemon = install.start(&["serve"]);
    until("a plan", || install.report().filter(|report| report["planned"] == 8));
    drop(daemon);
    let path = install.path("subah.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    let renamed = text.replace("[campaign.window]", "[campaign]\nid = \"morning\"\n[campaign.audience]\nlists = [\"default\", \"nolist\"]\n[campaign.window]");
    std::fs::write(&path, renamed).unwrap();
    let check = install.output(&["check", "--offline"]);
    let said = String::from_utf8_lossy(&check.stdout).into_owned();
    assert!(said.contains("no campaign daily-pack is configured"), "{said}");
    assert!(said.contains("the list nolist of its audience was never imported"), "{said}");
    let log = std::fs::File::create(install.path("serve.log")).unwrap();
    let mut command = install.command(&["serve"]);
    let _daemon = tests::install::Running(command.stderr(log).spawn().unwrap());
    until("a word", || {
        let said = std::fs::read_to_string(install.path("serve.log")).unwrap();
        said.contains("no campaign daily-pack is configured").then_some(())
    });
    // An empty variable names no campaign.
    let mut plan = install.command(&["plan"]);
    let plan = plan.env("SUBAH_CAMPAIGN", "").output().unwrap();
    assert_ne!(plan.status.code(), Some(2), "{}", String::from_utf8_lossy(&plan.stderr));
}

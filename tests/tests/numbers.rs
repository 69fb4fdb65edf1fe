//! Goal: a number that a person pauses, that readers dislike or that Meta stops sends nothing more
//! within moments, and what it had waiting arrives through the others, once.
//! Method: the real process; what the simulator says of its numbers is changed under it.

use std::time::Duration;

use serde_json::{Value, json};
use tests::install::{Install, Running, Times, post_webhook};
use tests::until;

const PEOPLE: u64 = 90;
const TIMES: Times = Times { opens_in: Duration::from_secs(4), length: Duration::from_secs(50) };

/// What the simulator says of its numbers.
fn say(install: &Install, all: &Value) {
    std::fs::write(install.path("numbers.json"), all.to_string()).unwrap();
}

/// A daemon in the middle of its run.
fn begun(said: &Value) -> (Install, Running) {
    let install = Install::with_numbers(PEOPLE as u32, TIMES);
    say(&install, said);
    let daemon = install.start(&["serve"]);
    until("some messages", || (went(&install, "1001") > 3).then_some(()));
    (install, daemon)
}

/// How many messages a number has had accepted.
fn went(install: &Install, number: &str) -> u64 {
    let deliveries = tests::install::get_json(&format!("{}/oracle/deliveries", install.simulator));
    let all = deliveries.as_object().unwrap().values().flat_map(|all| all.as_array().unwrap());
    all.filter(|message| message["number"] == number).count() as u64
}

/// Share of its rate, per cent, and why.
fn share(install: &Install, number: &str) -> (String, String) {
    let listed = install.output(&["numbers", "list", "--format", "json"]);
    let rows: Vec<Value> = serde_json::from_slice(&listed.stdout).unwrap();
    let row = rows.iter().find(|row| row["number"] == number).unwrap();
    let text = |key: &str| row[key].as_str().unwrap().to_owned();
    (text("share"), text("why"))
}

fn everybody_once(install: &Install) {
    let all = || (went(install, "1001") + went(install, "1002") >= PEOPLE).then_some(());
    until("everybody", all);
    let report = until("every arrival", || {
        install.report().filter(|report| report["by_deadline"]["delivered"] == PEOPLE)
    });
    assert_eq!(report["planned"], PEOPLE, "{report}");
    assert_eq!(install.oracle()["oracle"]["duplicates"], 0);
}

#[test]
fn a_number_that_a_person_pauses_sends_no_more_and_the_other_takes_over() {
    let (install, _daemon) = begun(&json!({}));
    let wrong = install.output(&["numbers", "pause", "9", "--reason", "a trial"]);
    assert_eq!(wrong.status.code(), Some(2));
    let silent = install.output(&["numbers", "pause", "1001", "--reason", " "]);
    assert_eq!(silent.status.code(), Some(2));
    let said = install.ok(&["numbers", "pause", "1001", "--reason", "a trial", "--for", "2h"]);
    assert!(said.contains("sends nothing within a second, until 20"), "{said}");
    let heeded = || {
        let (_, metrics) = install.get("/metrics")?;
        metrics.contains("subah_lane_rate_messages_per_second{number=\"1001\"} 0").then_some(())
    };
    until("the sender to heed", heeded);
    let before = went(&install, "1001");
    everybody_once(&install);
    // What was in hand when it was paused may still have gone.
    assert!(went(&install, "1001") <= before + 2, "{before}, {}", went(&install, "1001"));
    let (percent, why) = share(&install, "1001");
    assert_eq!(percent, "0 %");
    assert!(why.contains("a trial, until 20"), "{why}");
    let said = install.ok(&["numbers", "resume", "1001", "--reason", "over"]);
    assert!(said.contains("at 100 % of its rate"), "{said}");
    let audit = std::fs::read_to_string(install.path("state/audit.ndjson")).unwrap();
    for act in ["numbers pause 1001", "numbers resume 1001", "go through other numbers than 1001"] {
        assert!(audit.contains(act), "{act}: {audit}");
    }
}

/// A webhook says that something happened; what happened is asked of Meta.
#[test]
fn a_number_whose_rating_drops_in_the_middle_of_a_run_stops_and_another_slows_down() {
    let (install, _daemon) = begun(&json!({}));
    say(
        &install,
        &json!({"1001": {"quality_rating": "RED"}, "1002": {"quality_rating": "YELLOW"}}),
    );
    let body = json!({"object": "whatsapp_business_account", "entry": [{"id": "1022", "changes": [
        {"field": "phone_number_quality_update", "value": {
            "display_phone_number": "15550783881", "event": "DOWNGRADE",
            "current_limit": "TIER_1K"}}]}]});
    assert_eq!(post_webhook(install.receiver, &body.to_string()), Some(200));
    let heeded = || (share(&install, "1001").0 == "0 %").then_some(());
    until("the keeper", heeded);
    assert!(share(&install, "1001").1.contains("by the number keeper: its rating is RED"));
    assert_eq!(share(&install, "1002").0, "50 %");
    everybody_once(&install);
    let (_, metrics) = install.get("/metrics").unwrap();
    assert!(metrics.contains("subah_number_share_ratio{number=\"1002\"} 0.5"), "{metrics}");
    let check = install.output(&["check", "--run"]);
    let said = String::from_utf8_lossy(&check.stdout).into_owned();
    assert!(
        said.contains("number 1001: it sends at 0 % of its rate, by the number keeper"),
        "{said}"
    );
    assert!(said.contains("DEGRADED") && check.status.code() == Some(0), "{said}");
}

/// Nobody tells; the first refusal is the news.
#[test]
fn a_number_that_is_banned_in_the_middle_of_a_run_costs_nobody_the_message() {
    let (install, _daemon) = begun(&json!({}));
    say(&install, &json!({"1001": {"status": "BANNED"}}));
    everybody_once(&install);
    let (percent, why) = share(&install, "1001");
    assert_eq!(percent, "0 %");
    assert!(why.contains("Meta does not let it send"), "{why}");
    // It comes back by itself once Meta lets it.
    say(&install, &json!({}));
    install.ok(&["numbers", "probe"]);
}

#[test]
fn the_last_number_goes_on_slowly() {
    let red = json!({"quality_rating": "RED"});
    let (install, _daemon) = begun(&json!({"1001": red, "1002": red}));
    let (percent, why) = share(&install, "1001");
    assert_eq!(percent, "25 %", "{why}");
    assert!(why.contains("no other number can take over"), "{why}");
    everybody_once(&install);
}

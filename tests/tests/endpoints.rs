//! Goal: several apps and tokens in one installation: each number bears its own token, and an
//! endpoint's secret is worth nothing for another endpoint's numbers.

use std::io::Write;
use std::time::Duration;

use serde_json::{Value, json};
use tests::install::{Install, Times, post_signed};
use tests::until;

const PEOPLE: u64 = 60;
const TIMES: Times = Times { opens_in: Duration::from_secs(4), length: Duration::from_secs(30) };

fn configure(install: &Install, more: &str) {
    let path = install.path("subah.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text + more).unwrap();
}

fn secret(install: &Install, name: &str, text: &str) {
    use std::os::unix::fs::OpenOptionsExt;
    let mut file = std::fs::File::options()
        .create(true)
        .truncate(true)
        .write(true)
        .mode(0o600)
        .open(install.path(name))
        .unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

fn by_number(install: &Install) -> Option<[u64; 2]> {
    let report = install.report()?;
    let accepted = |n: usize| report["numbers"][n]["accepted"].as_u64();
    Some([accepted(0)?, accepted(1)?])
}

#[test]
fn a_number_with_a_token_of_its_own_stops_alone_and_goes_on_when_the_file_is_right() {
    let install = Install::new(PEOPLE as u32, TIMES);
    let config = install.path("subah.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    let own = "id = \"1002\"\ntoken_file = \"second-token\"";
    std::fs::write(&config, text.replace("id = \"1002\"", own)).unwrap();
    secret(&install, "second-token", "revoked");
    let _daemon = install.start(&["serve"]);
    let stopped = || {
        let status = install.output(&["status"]);
        let said = String::from_utf8_lossy(&status.stdout).into_owned();
        (said.contains("number 1002") && said.contains("code 190")).then_some(said)
    };
    let said = until("the second number to be stopped", stopped);
    assert!(!said.contains("number 1001"), "{said}");
    until("messages of the first", || (by_number(&install)?[0] > 5).then_some(()));
    assert_eq!(by_number(&install).unwrap()[1], 0);
    let valid = std::fs::read_to_string(install.path("valid-token")).unwrap();
    secret(&install, "second-token", &valid);
    let everybody = || (by_number(&install)?.iter().sum::<u64>() == PEOPLE).then_some(());
    until("everybody", everybody);
    assert_eq!(install.oracle()["oracle"]["duplicates"], 0);
}

/// A STOP that comes in for a number.
fn stop_at(number: &str, from: &str) -> Value {
    let message = json!({"from": from, "id": "wamid.stop", "type": "text",
        "timestamp": "1800000000", "text": {"body": "STOP"}});
    json!({"entry": [{"changes": [{"field": "messages", "value": {
        "metadata": {"phone_number_id": number}, "messages": [message]}}]}]})
}

#[test]
fn a_partners_secret_says_nothing_of_our_numbers() {
    let times = Times { opens_in: Duration::from_secs(600), length: Duration::from_secs(60) };
    let install = Install::new(PEOPLE as u32, times);
    configure(
        &install,
        "\n[[receiver.endpoints]]\nname = \"partner\"\napp_secret_file = \"partner-secret\"\nverify_token_file = \"partner-verify\"\nnumbers = [\"2002\"]\n",
    );
    secret(&install, "partner-secret", "secret-partner");
    secret(&install, "partner-verify", "verify-partner");
    let _daemon = install.start(&["serve"]);
    until("a plan", || install.report().filter(|r| r["states"]["planned"] == PEOPLE));
    let post = |path: &str, secret: &str, body: &Value| {
        post_signed(install.receiver, path, secret, &body.to_string()).unwrap()
    };
    let (ours, theirs) = (stop_at("1001", "919000000001"), stop_at("2002", "919000000002"));
    assert_eq!(post("/webhooks", "secret-partner", &ours), 401);
    assert_eq!(post("/webhooks/partner", "secret-app", &theirs), 401);
    // Believed as the partner's, and not of a number that is ours.
    assert_eq!(post("/webhooks/partner", "secret-partner", &ours), 200);
    assert_eq!(post("/webhooks", "secret-app", &theirs), 200);
    let misplaced = || {
        let (_, text) = install.get("/metrics")?;
        text.contains("subah_webhook_events_total{kind=\"misplaced\"} 2").then_some(())
    };
    until("both to be counted", misplaced);
    assert_eq!(install.report().unwrap()["states"]["suppressed"], 0, "nobody of ours was stopped");
    // Their own words about their own number count.
    assert_eq!(post("/webhooks/partner", "secret-partner", &theirs), 200);
    assert_eq!(post("/webhooks", "secret-app", &ours), 200);
    let heard = || (install.report()?["states"]["suppressed"].as_u64()? >= 1).then_some(());
    until("the STOPs", heard);
}

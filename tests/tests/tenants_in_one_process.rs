//! Goal: one process serves two tenants with the same people, lists, campaign, dates and delivery ids
//! over one PostgreSQL, and nothing of one reaches the other: no list, report, export, metric, STOP,
//! pause or audit entry. A tenant that cannot be served costs the other nothing.
//! Method: one real process with two configurations, a real PostgreSQL, a simulated Cloud API for each;
//! every list of both, before and after acts on one.

use std::time::Duration;

use serde_json::{Value, json};
use tests::install::{Install, Times, post_signed};
use tests::postgres::Postgres;
use tests::until;

const PEOPLE: u64 = 60;
const TIMES: Times = Times { opens_in: Duration::from_secs(8), length: Duration::from_secs(40) };

/// Two installations over one database; the second one's numbers are its own.
fn two(server: &Postgres, times: Times) -> [Install; 2] {
    let installs = [Install::new(PEOPLE as u32, times), Install::new(PEOPLE as u32, times)];
    for (at, install) in installs.iter().enumerate() {
        let file = install.path("subah.toml");
        let mut text = std::fs::read_to_string(&file).unwrap();
        if at == 1 {
            for n in 1..=4 {
                text = text.replace(&format!("\"100{n}\""), &format!("\"200{n}\""));
            }
        }
        let url = server.url();
        let records = format!("[records]\nengine = \"postgresql\"\npostgresql_url = \"{url}\"\n");
        let tenant = ["asha", "binod"][at];
        std::fs::write(&file, format!("tenant = \"{tenant}\"\n{text}{records}")).unwrap();
    }
    installs
}

fn serve(one: &Install, other: &Install) -> tests::install::Running {
    let also = other.path("subah.toml");
    one.start(&["serve", "--also", also.to_str().unwrap()])
}

fn arrived(install: &Install) -> u64 {
    let states = install.report().map(|report| report["states"].clone()).unwrap_or_default();
    states["delivered"].as_u64().unwrap_or(0) + states["read"].as_u64().unwrap_or(0)
}

/// Everything that a tenant can list, but what moves by itself.
fn sees(install: &Install) -> Vec<String> {
    let lists: [&[&str]; 6] = [
        &["recipients", "list", "--format", "csv"],
        &["recipients", "history", "--format", "csv"],
        &["content", "list", "--format", "csv"],
        &["consents", "show", "r00007", "--format", "csv"],
        &["runs", "list", "--format", "csv"],
        &["operators", "list", "--format", "csv"],
    ];
    lists
        .iter()
        .map(|list| String::from_utf8_lossy(&install.output(list).stdout).into_owned())
        .collect()
}

fn stop_word(number: &str, from: &str) -> String {
    let message = json!({"from": from, "id": "wamid.stop", "type": "text",
        "timestamp": "1800000000", "text": {"body": "STOP"}});
    json!({"entry": [{"changes": [{"field": "messages", "value": {
        "metadata": {"phone_number_id": number}, "messages": [message]}}]}]})
    .to_string()
}

fn said(install: &Install, who: &str) -> usize {
    let shown = install.output(&["consents", "show", who, "--format", "json"]);
    let shown: Value = serde_json::from_slice(&shown.stdout).unwrap_or_default();
    shown.as_array().map_or(0, Vec::len)
}

#[test]
fn both_mornings_are_done_and_nothing_of_one_reaches_the_other() {
    let server = Postgres::start();
    let [asha, binod] = two(&server, TIMES);
    let _process = serve(&asha, &binod);
    let before = sees(&binod);
    // Acts of one, each of which has a namesake at the other.
    asha.ok(&[
        "consents",
        "record",
        "r00007",
        "withdrawn",
        "--source",
        "form",
        "--proof",
        "f",
        "--yes",
    ]);
    asha.ok(&["operators", "add", "duty", "--role", "admin", "--reason", "on duty"]);
    asha.ok(&["keys", "create", "duty", "--label", "pager"]);
    assert_eq!(sees(&binod)[..4], before[..4]);
    assert_eq!(said(&binod, "r00007"), 0);
    let none = binod.ok(&["operators", "list", "--format", "csv"]);
    assert_eq!(none.lines().count(), 1, "{none}");
    // A STOP to one tenant's number is nothing to the other's.
    until("some messages", || (arrived(&asha) > 3 && arrived(&binod) > 3).then_some(()));
    let posted =
        post_signed(asha.receiver, "/webhooks", "secret-app", &stop_word("1001", "919000000009"));
    assert_eq!(posted, Some(200));
    until("the STOP in the records", || (said(&asha, "r00009") > 0).then_some(()));
    assert_eq!(said(&binod, "r00009"), 0);
    until("binod's whole morning", || (arrived(&binod) == PEOPLE).then_some(()));
    until("asha's morning", || (arrived(&asha) >= PEOPLE - 2).then_some(()));
    // What each process-wide thing says of one tenant is of that tenant.
    for (install, other) in [(&asha, "200"), (&binod, "100")] {
        let (_, metrics) = install.get("/metrics").unwrap();
        assert!(!metrics.contains(&format!("number=\"{other}1\"")), "a number of the other's");
        assert!(metrics.contains("subah_run_deliveries{"), "there is something to see");
    }
    let far = [&asha, &binod].map(|install| install.oracle()["oracle"].clone());
    assert_eq!(far[1]["distinct_deliveries"], PEOPLE);
    assert_eq!(far[0]["duplicates"], 0);
    assert_eq!(far[1]["duplicates"], 0);
    // Each has its own chain, and it is whole.
    let acts = |install: &Install| install.ok(&["audit", "list", "--format", "csv"]);
    assert!(acts(&asha).contains("operators add") && !acts(&binod).contains("operators add"));
    for install in [&asha, &binod] {
        assert!(install.ok(&["audit", "verify"]).contains("entries"));
    }
}

#[test]
fn what_is_paused_or_exported_by_one_is_the_others_untouched() {
    let server = Postgres::start();
    let [asha, binod] = two(&server, Times { opens_in: Duration::from_secs(60), ..TIMES });
    let _process = serve(&asha, &binod);
    let planned = |install: &Install| {
        let report = install.report()?;
        (report["states"]["planned"] == PEOPLE).then_some(())
    };
    until("both plans", || planned(&asha).and(planned(&binod)));
    asha.ok(&["runs", "pause", "today", "--reason", "a look", "--yes"]);
    asha.ok(&["numbers", "pause", "1001", "--reason", "a look"]);
    let phase = |install: &Install| install.ok(&["runs", "list", "--format", "csv"]);
    assert!(phase(&asha).contains(",paused,") && phase(&binod).contains(",open,"));
    let exported =
        asha.ok(&["runs", "export", "today", "--dir", asha.path("out").to_str().unwrap()]);
    assert!(exported.contains("60 deliveries"), "{exported}");
    let acts = |install: &Install| install.ok(&["audit", "list", "--format", "csv"]);
    assert!(acts(&asha).contains("becomes paused"), "{}", acts(&asha));
    assert!(!acts(&binod).contains("becomes paused"));
    let numbers = binod.output(&["numbers", "list", "--format", "csv"]);
    assert!(!String::from_utf8_lossy(&numbers.stdout).contains("1001"));
}

#[test]
fn a_tenant_that_cannot_be_served_costs_the_other_nothing() {
    let server = Postgres::start();
    let [asha, binod] = two(&server, TIMES);
    // Somebody else has asha's port.
    let _taken = std::net::TcpListener::bind(("127.0.0.1", asha.receiver)).unwrap();
    let mut process = serve(&asha, &binod);
    until("binod's whole morning", || (arrived(&binod) == PEOPLE).then_some(()));
    process.terminate();
    assert_eq!(process.wait(), 0);
}

#[test]
fn two_tenants_that_would_be_one_are_refused_by_what_they_share() {
    let server = Postgres::start();
    let times = Times { opens_in: Duration::from_secs(600), ..TIMES };
    let [asha, binod] = two(&server, times);
    let config = binod.path("subah.toml");
    let good = std::fs::read_to_string(&config).unwrap();
    let state = asha.path("state");
    let others = [
        (good.replace("tenant = \"binod\"", "tenant = \"asha\""), "tenant is asha"),
        (format!("state_dir = {state:?}\n{good}"), "state_dir is"),
        (good.replace("\"2001\"", "\"1001\""), "number 1001 is two tenants'"),
    ];
    for (text, why) in others {
        std::fs::write(&config, text).unwrap();
        let also = config.to_str().unwrap();
        let refused = asha.output(&["serve", "--also", also]);
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert_eq!(refused.status.code(), Some(2), "{said}");
        assert!(said.contains(why), "{said}");
    }
    // One after the other over one ledger: it is the first one's.
    std::fs::write(&config, &good).unwrap();
    asha.ok(&["webhooks", "replay"]);
    let ledger = asha.path("state/ledger.db");
    if ledger.exists() {
        std::fs::create_dir_all(binod.path("state")).unwrap();
        std::fs::copy(&ledger, binod.path("state/ledger.db")).unwrap();
        let refused = binod.output(&["runs", "list"]);
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert_eq!(refused.status.code(), Some(69), "{said}");
        assert!(said.contains("tenant asha's"), "{said}");
    }
}

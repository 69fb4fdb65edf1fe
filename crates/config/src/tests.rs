//! Goal: a wrong file is answered once, with everything in it that is wrong; the manual
//! documents every key and holds every default.

use super::*;

const MANUAL: &str = include_str!("../../../deploy/config.default.toml");

fn problems(text: &str) -> String {
    Config::parse(Path::new("subah.toml"), text).map(drop).unwrap_err().to_string()
}

#[test]
fn every_problem_is_in_one_message_with_key_seen_and_expected() {
    let text = r#"
        state_dri = "x"
        [store]
        engine = "postgres"
        [cloud_api]
        version = "v17.0"
        total_timeout = "20s"
        [sender]
        attempts_max = 0
        [[numbers]]
        id = "1065"
        throughput = 5000
        [[numbers]]
        id = "1065"
        [campaign]
        id = "Daily Pack"
        sla_target = 99
        [campaign.window]
        zone = "India"
        opens = "6 o'clock"
        closes = "06:10"
        [campaign.template]
        name = "daily_pack"
        buttons = ["link"]
    "#;
    let message = problems(text);
    for want in [
        "subah.toml: 13 problems",
        "state_dri: unknown key with \"x\"; expected one of",
        "store.engine: \"postgres\"; expected one of sqlite, redis",
        "cloud_api.version: v17.0; expected a Graph version from v23.0",
        "sender.attempts_max: 0; expected a whole number from 1 to 10",
        "sender.intent_timeout: 15s; expected more than budget + cloud_api.total_timeout = 22s",
        "numbers[0].throughput: 5000; expected a whole number from 1 to 1000",
        "numbers[1].id: 1065; expected an id that is not listed above",
        "campaign.id: Daily Pack; expected",
        "campaign.sla_target: 99; expected a number from 0 to 1",
        "campaign.window.zone: \"India\"; expected an IANA zone",
        "campaign.window.opens: \"6 o'clock\"; expected a local time",
        "campaign.template.buttons: \"link\"; expected quick_reply",
    ] {
        assert!(message.contains(want), "{want}\nis not in\n{message}");
    }
}

#[test]
fn a_file_that_is_no_toml_says_where() {
    assert!(
        problems("[store\nengine = 1").contains("line 1"),
        "{}",
        problems("[store\nengine = 1")
    );
}

#[test]
fn spans_are_written_with_a_unit() {
    for (text, want) in [("500ms", 500), ("30s", 30_000), ("1.5m", 90_000), ("1h", 3_600_000)] {
        assert_eq!(read::parse_duration(text), Some(Duration::from_millis(want)), "{text}");
    }
    for bad in ["0s", "30", "-1s", "s", "1d", "", "1e9h"] {
        assert_eq!(read::parse_duration(bad), None, "{bad}");
    }
}

#[test]
fn the_manual_is_a_valid_file() {
    let config = Config::parse(Path::new("subah.toml"), MANUAL).unwrap();
    assert_eq!(config.campaigns[0].campaign.id.as_str(), "daily-pack");
}

/// With every documented default spelled out, the file means the same as one without.
#[test]
fn the_manuals_defaults_are_the_programs_defaults() {
    let uncommented: String = MANUAL
        .lines()
        .map(|line| match line.strip_prefix("#= ") {
            Some(default) => format!("{default}\n"),
            None => format!("{line}\n"),
        })
        .collect();
    assert_ne!(uncommented, MANUAL, "defaults are written as `#= key = value`");
    let parse = |text: &str| Config::parse(Path::new("/etc/subah/subah.toml"), text).unwrap();
    let (bare, spelled) = (parse(MANUAL), parse(&uncommented));
    assert_eq!(format!("{bare:?}"), format!("{spelled:?}"));
}

#[test]
fn spans_versions_and_hosts_have_bounds_and_secrets_are_not_repeated() {
    let token = format!("EAAG{}", "x".repeat(120));
    let with = |text: String| {
        let text = format!("{text}\n[[numbers]]\nid = \"1\"\n[campaign.template]\nname = \"a\"\n");
        let said = problems(&text);
        assert!(!said.contains("EAAG"), "{said}");
        said
    };
    let cases = [
        ("[sender]\nlease = \"1ms\"", "sender.lease: \"1ms\"; expected a span from 1s to 600s"),
        ("[sender]\nlease = \"5000000000000000h\"", "sender.lease"),
        ("[cloud_api]\nversion = \"v23.0/\"", "cloud_api.version"),
        ("[cloud_api]\nbase_url = \"http://graph.example.com\"", "plain http to another host"),
        ("[receiver]\nlisten = \"127.0.0.1:9464\"", "metrics.listen"),
    ];
    for (text, want) in cases {
        let said = with(text.to_owned());
        assert!(said.contains(want), "{said}");
    }
    assert!(with(format!("[credentials]\nmeta_token = \"{token}\"")).contains("the secret itself"));
    with(format!("[credentials]\ntoken = \"{token}\""));
    with(format!("meta_token = \"{token}\""));
    with(format!("[cloud_api]\nversion = \"{token}\""));
}

#[test]
fn endpoints_and_tokens_are_read_and_what_is_odd_in_them_is_named() {
    let with = |endpoints: &str| {
        format!(
            "[[numbers]]\nid = \"1\"\ntoken_file = \"own\"\n[campaign.template]\nname = \"a\"\n{endpoints}"
        )
    };
    let endpoint = |name: &str, number: &str| {
        format!(
            "[[receiver.endpoints]]\nname = \"{name}\"\napp_secret_file = \"s\"\nverify_token_file = \"v\"\nnumbers = [\"{number}\"]\n"
        )
    };
    let good = with(&(endpoint("partner", "2") + &endpoint("other", "3")));
    let files = Config::parse(Path::new("/etc/subah/subah.toml"), &good).unwrap().credentials;
    assert_eq!(files.number_tokens.values().next().unwrap(), Path::new("/etc/subah/own"));
    let names: Vec<&str> = files.endpoints.iter().map(|e| e.name.as_str()).collect();
    assert_eq!(names, ["partner", "other"]);
    for (bad, want) in [
        (endpoint("Partner", "2"), "receiver.endpoints[0].name"),
        (endpoint("webhooks", "2"), "that one is Meta's own endpoint"),
        (endpoint("a", "2") + &endpoint("a", "3"), "a name that is not listed above"),
        (endpoint("a", "2") + &endpoint("b", "2"), "a number of no other endpoint"),
        ("[[receiver.endpoints]]\nname = \"a\"\n".to_owned(), "app_secret_file: nothing"),
        ("[receiver]\nendpoints = 3\n".to_owned(), "[[receiver.endpoints]] tables"),
    ] {
        let said = problems(&with(&bad));
        assert!(said.contains(want), "{bad}: {said}");
    }
}

const CAMPAIGNS: &str = r#"
[[numbers]]
id = "1001"
[[numbers]]
id = "1002"
[[campaigns]]
id = "daily-pack"
days = ["mon", "Tue"]
skip = ["2026-12-25"]
[campaigns.audience]
lists = ["default", "trial"]
tags = ["vip"]
[campaigns.template]
name = "daily_pack"
[[campaigns.families]]
tiers = ["pro"]
[campaigns.families.template]
name = "daily_pack_image"
header = "image"
[[campaigns]]
id = "diwali"
date = "2026-11-08"
category = "marketing"
numbers = ["1002"]
[campaigns.template]
name = "diwali"
"#;

#[test]
fn several_campaigns_are_read_and_one_has_to_be_named() {
    let mut config = Config::parse(Path::new("subah.toml"), CAMPAIGNS).unwrap();
    let [daily, diwali] = &config.campaigns[..] else { panic!("two") };
    let templates: Vec<_> = daily.campaign.templates().map(|t| t.name.to_string()).collect();
    assert_eq!(templates, ["daily_pack", "daily_pack_image"]);
    assert_eq!((daily.campaign.numbers.len(), diwali.campaign.numbers.len()), (2, 1));
    assert_eq!(daily.audience.lists().len(), 2);
    assert_eq!(diwali.daily.days.only, "2026-11-08".parse().ok());
    let which = config.campaign().map(drop).unwrap_err().to_string();
    assert_eq!(which, "which campaign? --campaign with one of daily-pack, diwali");
    config.named = Some("dewali".to_owned());
    let none = config.campaign().map(drop).unwrap_err().to_string();
    assert_eq!(none, "there is no campaign \"dewali\"; configured are daily-pack, diwali");
    config.named = Some("diwali".to_owned());
    assert_eq!(config.campaign().unwrap().campaign.id.as_str(), "diwali");
}

#[test]
fn what_is_odd_in_campaigns_is_named_by_its_place() {
    let odd = CAMPAIGNS
        .replace("id = \"diwali\"", "id = \"daily-pack\"")
        .replace("\"Tue\"", "\"Tuesdays\"")
        .replace("[\"2026-12-25\"]", "[\"25.12.2026\"]")
        .replace("[\"default\", \"trial\"]", "[\"Trial Users\"]")
        .replace("[\"1002\"]", "[\"1003\"]")
        .replace("date = \"2026-11-08\"", "date = \"2026-11-08\"\ndays = [\"sun\"]")
        .replace("tiers = [\"pro\"]", "")
        + "[campaign]\nid = \"third\"\n";
    let said = problems(&odd);
    for want in [
        "campaigns: [campaign] and [[campaigns]]; expected one of the two",
        "campaigns[1].id: daily-pack; expected an id that is not listed above",
        "campaigns[0].days: \"Tuesdays\"; expected mon",
        "campaigns[0].skip: 25.12.2026; expected a date",
        "campaigns[0].audience.lists: an unusable name",
        "campaigns[1].numbers: 1003; expected ids of [[numbers]]",
        "campaigns[1].days: a date beside it; expected either date, or days",
        "campaigns[0].families[0].tiers: nothing; expected tiers, attributes, or both",
    ] {
        assert!(said.contains(want), "{want}\nis not in\n{said}");
    }
    let none = CAMPAIGNS.replace("[\"mon\", \"Tue\"]", "[]");
    assert!(problems(&none).contains("campaigns[0].days: none; expected at least one day"));
    let gone = CAMPAIGNS.replace("skip =", "holidays_file = \"gone.txt\"\nskip =");
    assert!(problems(&gone).contains("campaigns[0].holidays_file: No such file"));
}

#[test]
fn holidays_are_read_from_a_file_of_their_own() {
    let sample = concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/holidays-nse-2026.txt");
    let text = CAMPAIGNS.replace("skip =", &format!("holidays_file = \"{sample}\"\nskip ="));
    let config = Config::parse(Path::new("subah.toml"), &text).unwrap();
    let daily = &config.campaigns[0];
    assert_eq!(daily.holidays_until, "2026-12-25".parse().ok());
    let why = daily.daily.days.why_not("2026-01-26".parse().unwrap());
    assert_eq!(why.as_deref(), Some("2026-01-26 is skipped: Republic Day"));
}

#[test]
fn a_pull_that_cannot_be_meant_is_refused_by_its_key_and_no_secret_is_said() {
    let manual = MANUAL.replace("# [[pulls]]", "[[pulls]]");
    let with = |lines: &str| {
        let text = manual.replacen("[[pulls]]\n", &format!("[[pulls]]\n{lines}\n"), 1);
        Config::parse(Path::new("subah.toml"), &text).map_err(|bad| bad.to_string())
    };
    let good = "name = \"crm\"\nset = \"recipients\"\nfrom = \"in/list.csv\"\nat = [\"05:00\"]";
    let config = with(good).unwrap();
    assert_eq!(config.pulls[0].from, pulls::PullFrom::File("in/list.csv".into()));
    assert_eq!(config.pulls[0].fresh_within, Duration::from_secs(24 * 3_600));
    let bad = [
        ("name = \"crm\"", "name = \"C R M\"", "pulls[0].name"),
        ("at = [\"05:00\"]", "at = []", "pulls[0].at"),
        ("at = [\"05:00\"]", "at = [\"5 o'clock\"]", "pulls[0].at"),
        ("in/list.csv", "http://files.example.in/l.csv", "pulls[0].from"),
        ("in/list.csv", "https://asha:hunter2@files.example.in/l.csv", "pulls[0].from"),
        ("in/list.csv", "ftp://files.example.in/l.csv", "pulls[0].from"),
        ("set = \"recipients\"", "campaign = \"evening\"", "pulls[0].campaign: evening"),
        ("set = \"recipients\"", "set = \"people\"", "pulls[0].set"),
        ("at = [\"05:00\"]", "at = [\"05:00\"]\nfresh_within = \"1s\"", "pulls[0].fresh_within"),
        ("at = [\"05:00\"]", "at = [\"05:00\"]\nevery = \"5m\"", "pulls[0].every"),
    ];
    for (from, to, key) in bad {
        let said = with(&good.replace(from, to)).unwrap_err();
        assert!(said.contains(key) && !said.contains("hunter2"), "{to}: {said}");
    }
    let token = good.replace("in/list.csv", "http://127.0.0.1:8/l.csv") + "\ntoken_file = \"t\"";
    assert!(with(&token).unwrap_err().contains("pulls[0].token_file"));
}

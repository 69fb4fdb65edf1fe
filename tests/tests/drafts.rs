//! Goal: a template is reviewed before Meta sees it, handed in once, compared and fetched back; what
//! is wrong with one file costs that file.
//! Method: the real command against the simulator, and without any configuration.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use tests::install::{Install, Times};
use tests::until;

const GOOD: &str = r#"
category = "utility"
body = "Good morning {{first_name}}, your pack for today is here. {{headline}} is its first line."
footer = "Reply STOP to opt out"
[[buttons]]
kind = "url"
text = "Open the pack"
url = "https://packs.example.in/{{1}}"
sample = "https://packs.example.in/p/1"
[samples]
first_name = "Asha"
headline = "NIFTY up 0.4 %"
"#;

fn write(dir: &Path, path: &str, text: &str) {
    let path = dir.join(path);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

/// The command in a folder without a configuration: exit code, answer, hints.
fn subah(dir: &Path, args: &[&str]) -> (Option<i32>, String, String) {
    let mut command = Command::new(tests::subah_path());
    command.current_dir(dir).args(args).env_remove("SUBAH_CONFIG");
    let output = command.output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn whoever_writes_texts_needs_no_configuration() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "templates/daily_pack/v2/en.toml", GOOD);
    let (code, said, _) = subah(dir.path(), &["templates", "lint", "--format", "json"]);
    assert_eq!((code, said.trim()), (Some(0), "[]"), "a link is enough for the standard warning");
    let (code, shown, _) = subah(dir.path(), &["templates", "preview"]);
    assert_eq!(code, Some(0));
    for line in ["daily_pack_v2 (en), utility", "Good morning Asha", "[ Open the pack ]"] {
        assert!(shown.contains(line), "{shown}");
    }
    let (code, _, why) = subah(dir.path(), &["templates", "lint", "nowhere"]);
    assert_eq!(code, Some(2), "{why}");
    write(dir.path(), "empty/README.md", "no draft");
    let (code, _, why) = subah(dir.path(), &["templates", "lint", "empty"]);
    assert_eq!(code, Some(2), "nothing looked at is not ok: {why}");
}

#[test]
fn each_file_is_judged_by_itself() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "templates/good/v1/en.toml", GOOD);
    write(dir.path(), "templates/bad/v1/en.toml", "category = \"utlity\"\n");
    write(dir.path(), "templates/bad/v1/hi.toml", "\u{0}\u{1}");
    let sure = GOOD.replace("is its first line", "has guaranteed returns").replace("your", "a");
    write(dir.path(), "templates/sure/v1/en.toml", &sure);
    let (code, said, hint) = subah(dir.path(), &["templates", "lint", "--format", "json"]);
    assert_eq!(code, Some(1));
    let rows: Vec<Value> = serde_json::from_str(&said).unwrap();
    let of = |path: &str| {
        let mine = rows.iter().filter(|row| row["file"].as_str().unwrap().contains(path));
        mine.map(|row| row["rule"].as_str().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(of("good/v1/en"), Vec::<&str>::new());
    assert_eq!(of("bad/v1/en"), ["file"]);
    assert_eq!(of("bad/v1/hi"), ["file"]);
    assert_eq!(of("sure/v1/en"), ["pack-banned"]);
    assert!(hint.contains("2 drafts: 3 errors, 0 warnings"), "{hint}");
}

fn install() -> Install {
    let times = Times { opens_in: Duration::from_secs(3_600), length: Duration::from_secs(60) };
    let install = Install::with_templates(3, times);
    std::fs::write(install.path("templates.json"), "[]").unwrap();
    let config = install.path("subah.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    let text = text.replace("[cloud_api]", "[cloud_api]\nwaba_id = \"1022\"");
    std::fs::write(&config, text).unwrap();
    install
}

fn of(install: &Install, args: &[&str]) -> String {
    let output = install.output(args);
    let said = [output.stdout, output.stderr].concat();
    format!("{:?} {}", output.status.code(), String::from_utf8_lossy(&said))
}

#[test]
fn a_draft_is_handed_in_once_and_its_change_is_another_version() {
    let install = install();
    let file = install.path("templates/daily_pack/v2/en.toml");
    write(install.dir.path(), "templates/daily_pack/v2/en.toml", GOOD);
    let path = file.to_str().unwrap();
    let said = of(&install, &["templates", "submit", path]);
    assert!(said.contains("would be handed in") && said.contains("--yes does it"), "{said}");
    let said = of(&install, &["templates", "submit", path, "--yes"]);
    assert!(said.contains("handed in, PENDING as UTILITY"), "{said}");
    let said = of(&install, &["templates", "submit", path, "--yes"]);
    assert!(said.starts_with("Some(0)") && said.contains("Meta has it"), "{said}");
    let approved = || {
        let said = of(&install, &["templates", "doctor", "daily_pack", "--format", "json"]);
        said.contains("\"status\": \"APPROVED\"").then_some(())
    };
    until("the review", approved);
    assert!(of(&install, &["templates", "compare"]).contains("the same"));
    write(
        install.dir.path(),
        "templates/daily_pack/v2/en.toml",
        &GOOD.replace("morning", "evening"),
    );
    let said = of(&install, &["templates", "submit", path, "--yes"]);
    assert!(said.starts_with("Some(1)"), "{said}");
    assert!(said.contains("another body") && said.contains("daily_pack_v3"), "{said}");
    let said = of(&install, &["templates", "compare"]);
    assert!(said.starts_with("Some(1)") && said.contains("other body"), "{said}");
    // Meta's text comes back only when somebody says yes.
    let said = of(&install, &["templates", "pull"]);
    assert!(said.contains("differs, and stays"), "{said}");
    let said = of(&install, &["templates", "pull", "--yes"]);
    assert!(said.contains("written to"), "{said}");
    assert!(std::fs::read_to_string(&file).unwrap().contains("Good morning"));
    assert!(of(&install, &["templates", "compare"]).starts_with("Some(0)"));
    let audit = std::fs::read_to_string(install.path("state/audit.ndjson")).unwrap();
    assert_eq!(audit.matches("templates submit").count(), 1, "{audit}");
}

#[test]
fn what_meta_would_refuse_is_not_handed_in_and_promotion_is_filed_as_such() {
    let install = install();
    write(install.dir.path(), "templates/a/v1/en.toml", &GOOD.replace("Good morning ", ""));
    write(install.dir.path(), "templates/b/v1/en.toml", GOOD);
    let dir = install.path("templates");
    let said = of(&install, &["templates", "submit", dir.to_str().unwrap(), "--yes"]);
    assert!(said.starts_with("Some(1)"), "{said}");
    assert!(said.contains("a_v1 (en): not handed in, 1 errors"), "{said}");
    assert!(said.contains("b_v1 (en): handed in"), "the other one is: {said}");
    // Whoever switches the rule off finds out what Meta does with it.
    let config = install.path("subah.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    let allow = "\n[lint]\nallow = [\"utility-promotes\"]\n";
    std::fs::write(&config, format!("{text}{allow}")).unwrap();
    let sale = GOOD.replace("is its first line", "is on sale with a discount");
    write(install.dir.path(), "templates/c/v1/en.toml", &sale);
    let path = install.path("templates/c");
    let said = of(&install, &["templates", "submit", path.to_str().unwrap(), "--yes"]);
    assert!(said.contains("PENDING as MARKETING"), "{said}");
}

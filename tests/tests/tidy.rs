//! The rules of the house that a machine can check as facts.

#[path = "tidy/syntax.rs"]
mod syntax;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap()
}

/// Which of our crates each may import: the arrows of `crates/ARCHITECTURE.md`.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("domain", &[]),
    ("telemetry", &[]),
    ("quality", &[]),
    ("templates", &["domain"]),
    ("segment-log", &[]),
    ("provider", &["domain"]),
    ("records", &["domain"]),
    ("accounts", &["domain", "records"]),
    ("cloud-api", &["domain", "provider", "segment-log", "templates"]),
    ("catalogue", &["domain", "quality", "cloud-api", "templates"]),
    ("ledger", &["domain", "segment-log", "telemetry"]),
    ("queue", &["domain", "ledger", "telemetry"]),
    ("scheduler", &["domain", "templates", "ledger", "provider", "segment-log"]),
    ("sender", &["domain", "ledger", "provider", "quality", "queue", "segment-log", "telemetry"]),
    ("inbox", &["domain", "ledger", "provider", "segment-log", "telemetry"]),
    ("status", &["domain", "inbox", "ledger", "segment-log", "telemetry"]),
    (
        "config",
        &["domain", "quality", "templates", "cloud-api", "records", "inbox", "scheduler", "sender"],
    ),
    (
        "desk",
        &[
            "domain",
            "accounts",
            "quality",
            "templates",
            "catalogue",
            "cloud-api",
            "config",
            "inbox",
            "ledger",
            "records",
            "scheduler",
            "segment-log",
            "sender",
            "status",
            "telemetry",
        ],
    ),
    ("simulator", &["domain", "templates", "cloud-api"]),
    (
        "daemon",
        &[
            "domain",
            "quality",
            "templates",
            "catalogue",
            "cloud-api",
            "config",
            "desk",
            "inbox",
            "ledger",
            "provider",
            "records",
            "scheduler",
            "segment-log",
            "sender",
            "status",
            "telemetry",
        ],
    ),
    (
        "subah",
        &[
            "domain",
            "templates",
            "config",
            "daemon",
            "desk",
            "records",
            "ledger",
            "scheduler",
            "simulator",
            "status",
            "telemetry",
        ],
    ),
];

fn manifest(path: &Path) -> toml::Table {
    std::fs::read_to_string(path).unwrap().parse().unwrap()
}

/// Source files below the crates and tests, by their path.
fn sources() -> BTreeMap<PathBuf, String> {
    let mut found = BTreeMap::new();
    let mut folders = vec![root().join("crates"), root().join("tests")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && !path.ends_with("target") {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                found.insert(path, text);
            }
        }
    }
    found
}

#[test]
fn imports_go_only_in_the_direction_of_the_architecture() {
    let ours: BTreeSet<&str> = MAY_IMPORT.iter().map(|(name, _)| *name).collect();
    let folders = std::fs::read_dir(root().join("crates")).unwrap();
    let crates = folders.filter(|e| e.as_ref().unwrap().path().is_dir()).count();
    assert_eq!(crates, ours.len(), "every crate has its line above");
    for (name, allowed) in MAY_IMPORT {
        let manifest = manifest(&root().join("crates").join(name).join("Cargo.toml"));
        let dependencies = manifest["dependencies"].as_table().unwrap();
        for dependency in dependencies.keys().filter(|d| ours.contains(d.as_str())) {
            assert!(allowed.contains(&dependency.as_str()), "{name} must not import {dependency}");
        }
    }
}

#[test]
fn frameworks_stay_in_their_rooms() {
    let homes: &[(&str, &[&str])] = &[
        ("apalis", &["queue"]),
        ("rusqlite", &["ledger"]),
        ("redis", &["ledger"]),
        ("governor", &["quality"]),
        ("prometheus", &["telemetry"]),
        ("clap", &["subah"]),
        ("anyhow", &["daemon", "subah"]),
        ("axum", &["daemon", "inbox", "simulator"]),
        ("reqwest", &["cloud-api", "desk", "simulator"]),
    ];
    for (dependency, rooms) in homes {
        for (name, _) in MAY_IMPORT {
            let manifest = manifest(&root().join("crates").join(name).join("Cargo.toml"));
            let has = manifest["dependencies"].as_table().unwrap().contains_key(*dependency);
            assert!(!has || rooms.contains(name), "{name} must not import {dependency}");
        }
    }
}

#[test]
fn each_dependency_has_one_version_in_one_place() {
    for (name, _) in MAY_IMPORT {
        let manifest = manifest(&root().join("crates").join(name).join("Cargo.toml"));
        for table in ["dependencies", "dev-dependencies"] {
            let Some(table) = manifest.get(table).and_then(toml::Value::as_table) else { continue };
            for (dependency, value) in table {
                let inherited = value.get("workspace").and_then(toml::Value::as_bool);
                assert_eq!(inherited, Some(true), "{name}: {dependency} has a version of its own");
            }
        }
    }
}

#[test]
fn every_file_says_what_it_is_for_and_none_outgrows_its_room() {
    for (path, text) in sources() {
        let name = path.display();
        assert!(text.starts_with("//!"), "{name} opens without saying what it is for");
        let lines = text.lines().count();
        assert!(lines <= 500, "{name} has {lines} lines: split it");
        assert!(!path.ends_with("mod.rs"), "{name}: foo.rs beside foo/, never foo/mod.rs");
    }
}

#[test]
fn no_function_outgrows_a_screen() {
    for (path, text) in sources() {
        let long = syntax::functions(&text).into_iter().filter(|function| function.lines > 60);
        let long: Vec<String> = long.map(|f| format!("{} has {} lines", f.name, f.lines)).collect();
        assert!(long.is_empty(), "{}: {}: split it", path.display(), long.join(", "));
    }
}

#[test]
fn files_import_one_another_in_one_direction() {
    let sources = sources();
    let crates = MAY_IMPORT.iter().map(|(name, _)| root().join("crates").join(name).join("src"));
    let others = ["tests/src", "tests/bench/src"].map(|src| root().join(src));
    for src in crates.chain(others) {
        let circles = syntax::circles(&src, &sources);
        assert!(circles.is_empty(), "{}: circles {}", src.display(), circles.join("; "));
    }
}

#[test]
fn command_files_name_only_desk_config_daemon_and_output() {
    let commands = root().join("crates/subah/src/commands");
    let ours: Vec<String> = MAY_IMPORT.iter().map(|(name, _)| name.replace('-', "_")).collect();
    let allowed = ["config", "daemon", "desk"];
    let mut read = 0;
    for (path, text) in sources().into_iter().filter(|(path, _)| path.starts_with(&commands)) {
        read += 1;
        for line in text.lines().filter(|line| !line.trim_start().starts_with("//")) {
            let names = |room: &&String| line.contains(&format!("{room}::"));
            let foreign = |room: &&String| !allowed.contains(&room.as_str());
            let named: Vec<_> = ours.iter().filter(names).filter(foreign).collect();
            // `desk::templates` is the desk's own word for what it does with them.
            let beyond = named.into_iter().filter(|room| {
                line.replace(&format!("desk::{room}::"), "").contains(&format!("{room}::"))
                    && !text.contains(&format!("desk::{room}::{{self"))
            });
            let beyond: Vec<_> = beyond.collect();
            assert!(beyond.is_empty(), "{}: {line:?} names {beyond:?}", path.display());
        }
    }
    assert!(read > 15, "only {read} command files were read");
}

#[test]
fn no_room_has_a_fifth_of_the_house() {
    let mut lines: BTreeMap<&str, usize> = BTreeMap::new();
    for (path, text) in sources() {
        let room = MAY_IMPORT.iter().map(|(name, _)| *name);
        let of = room.into_iter().find(|name| path.starts_with(root().join("crates").join(name)));
        *lines.entry(of.unwrap_or_default()).or_default() += text.lines().count();
    }
    lines.remove(""); // tests
    let all: usize = lines.values().sum();
    for (room, n) in lines {
        assert!(n * 5 < all, "{room} has {n} of {all} lines: split it");
    }
}

#[test]
fn nothing_is_left_open_or_ignored() {
    let banned = ["todo!(", "unimplemented!(", "FIXME", "#[ignore]", "thread::sleep"];
    for (path, text) in sources() {
        if path.ends_with("tidy.rs") {
            continue;
        }
        for word in banned {
            assert!(!text.contains(word), "{} holds {word}", path.display());
        }
    }
}

#[test]
fn the_architecture_page_names_every_crate() {
    let page = std::fs::read_to_string(root().join("crates/ARCHITECTURE.md")).unwrap();
    for (name, _) in MAY_IMPORT {
        assert!(page.contains(&format!("`{name}`")), "ARCHITECTURE.md does not name {name}");
    }
}

#[test]
fn the_architecture_page_answers_questions_with_files_that_are_there() {
    let page = std::fs::read_to_string(root().join("crates/ARCHITECTURE.md")).unwrap();
    let (_, table) = page.split_once("## Where is that decided?").unwrap();
    let (table, _) = table.split_once("\n## ").unwrap();
    let rows = table.lines().filter(|line| line.starts_with("| ") && line.contains(".rs`"));
    let paths: Vec<&str> = rows.flat_map(|row| row.split('`').skip(1).step_by(2)).collect();
    assert!(paths.len() >= 20, "{paths:?}");
    for path in paths {
        assert!(root().join("crates").join(path).is_file(), "{path} is not there");
    }
}

#[test]
fn every_mutant_finds_its_place_exactly_once() {
    for mutant in tests::mutants::load().unwrap() {
        let text = std::fs::read_to_string(root().join(&mutant.file)).unwrap();
        let found = text.matches(&mutant.find).count();
        assert_eq!(found, 1, "mutant {} is found {found} times in {}", mutant.name, mutant.file);
        assert_ne!(mutant.find, mutant.replace, "mutant {} changes nothing", mutant.name);
    }
}

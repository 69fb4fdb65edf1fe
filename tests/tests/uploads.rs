//! Goal: different pictures are uploaded ahead of the plan, for each number that may carry them; the plan
//! says how far that is; one picture that is no good costs itself.
//! Method: a real daemon hours before its window, a simulated Cloud API that keeps what it is given.

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::{Value, json};
use tests::install::{Install, Times};
use tests::until;

const PEOPLE: u32 = 24;
const NUMBERS: u32 = 2;

/// Two hours before the window: everybody has a picture of their own.
fn install() -> Install {
    let times = Times { opens_in: Duration::from_secs(7_200), length: Duration::from_secs(60) };
    let install = Install::new(PEOPLE, times);
    let config = install.path("subah.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    let text =
        text.replace("name = \"daily_pack\"\n", "name = \"daily_pack\"\nheader = \"image\"\n");
    std::fs::write(&config, text).unwrap();
    let mut content = String::new();
    for n in 0..PEOPLE {
        std::fs::write(install.path(&format!("p{n}.png")), picture(n as u8)).unwrap();
        let row = json!({"recipient_id": format!("r{n:05}"), "params": {"headline": "Up"},
            "media_path": format!("p{n}.png"), "approved_by": "Desk",
            "approved_at": "2026-01-15T18:00:00+05:30"});
        writeln!(content, "{row}").unwrap();
    }
    std::fs::write(install.path("content.ndjson"), content).unwrap();
    install.ok(&["content", "import", install.path("content.ndjson").to_str().unwrap(), "--yes"]);
    install
}

/// A picture of one pixel.
const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\x02\0\0\0\x90wS\xde\0\0\0\x0cIDATx\x9cc\xf8\xcf\xc0\0\0\x03\x01\x01\0\xc9\xfe\x92\xef\0\0\0\0IEND\xaeB`\x82";

/// The same with a comment of its own behind its head.
fn picture(n: u8) -> Vec<u8> {
    [&PNG[..33], b"\0\0\0\x03tEXta\0", &[n], b"crc.", &PNG[33..]].concat()
}

fn plan(install: &Install) -> Value {
    let output = install.output(&["plan", "--format", "json"]);
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Ids that this host keeps.
fn held(install: &Install) -> u32 {
    let kept = std::fs::read(install.path("state/media.json")).unwrap_or_default();
    let kept: Value = serde_json::from_slice(&kept).unwrap_or_default();
    kept.as_object().map_or(0, serde_json::Map::len) as u32
}

fn waiting(install: &Install) -> Option<u32> {
    let (_, text) = install.get("/metrics")?;
    let line = text.lines().find(|line| line.starts_with("subah_media_uploads_waiting "))?;
    line.rsplit(' ').next()?.parse().ok()
}

#[test]
fn pictures_are_uploaded_ahead_for_every_number_and_the_plan_says_how_far() {
    let install = install();
    let before = plan(&install);
    assert_eq!(before["uploads"], json!({"needed": PEOPLE, "done": 0}));
    // One that somebody spoils after the import.
    std::fs::write(install.path("p3.png"), b"no picture").unwrap();
    let _daemon = install.start(&["serve"]);
    until("all uploads that can be made", || {
        (plan(&install)["uploads"]["done"] == PEOPLE - 1).then_some(())
    });
    until("those for the other numbers", || (waiting(&install) == Some(0)).then_some(()));
    assert_eq!(held(&install), (PEOPLE - 1) * NUMBERS, "each for each number");
    let table = install.output(&["plan"]);
    let table = String::from_utf8_lossy(&table.stdout).into_owned();
    assert!(table.contains("Pictures: 23 of 24 uploads are made"), "{table}");
    // Put right and imported again: that one is uploaded, and nothing a second time.
    std::fs::write(install.path("p3.png"), picture(3)).unwrap();
    install.ok(&["content", "import", install.path("content.ndjson").to_str().unwrap(), "--yes"]);
    until("the picture that was put right", || (held(&install) == PEOPLE * NUMBERS).then_some(()));
    until("nothing more to do", || (waiting(&install) == Some(0)).then_some(()));
    assert_eq!(held(&install), PEOPLE * NUMBERS);
}

//! Goal: lists and content that are fetched are imported as by a person without a yes: what is old,
//! empty, away or the same changes nothing and is said; one source that fails holds up no other.
//! Method: real processes; files, and a real HTTP server on loopback.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::time::{Duration, SystemTime};

use tests::install::{Install, Times, local_now, recipients};
use tests::until;

const PEOPLE: u32 = 30;
const TIMES: Times = Times { opens_in: Duration::from_secs(900), length: Duration::from_secs(60) };

/// An installation with these `[[pulls]]`; `{url}` stands for the server's address.
fn with_pulls(pulls: &str) -> Install {
    let install = Install::new(PEOPLE, TIMES);
    let file = install.path("subah.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text + pulls).unwrap();
    install
}

fn pull(install: &Install, names: &[&str]) -> (Option<i32>, String) {
    let output = install.output(&[&["pull"], names].concat());
    let text = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(text).unwrap())
}

fn people(install: &Install) -> usize {
    install.ok(&["recipients", "list", "--format", "csv"]).lines().count() - 1
}

const LIST: &str = r#"
[[pulls]]
name = "crm"
set = "recipients"
from = "in/list.csv"
at = ["05:00"]
"#;

#[test]
fn a_list_of_a_folder_is_taken_up_once_and_what_cannot_be_meant_changes_nothing() {
    let install = with_pulls(LIST);
    let (code, said) = pull(&install, &[]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("pull crm: read ") && said.contains("list.csv"), "{said}");
    std::fs::create_dir(install.path("in")).unwrap();
    let file = install.path("in/list.csv");
    std::fs::write(&file, recipients(PEOPLE + 2)).unwrap();
    let (code, said) = pull(&install, &["crm"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("+2 −0"), "{said}");
    let (code, said) = pull(&install, &[]);
    assert_eq!((code, said.contains("the same as the last time")), (Some(0), true), "{said}");
    // Half of the people gone is nobody's wish before somebody says yes.
    std::fs::write(&file, recipients(PEOPLE / 2)).unwrap();
    let (code, said) = pull(&install, &[]);
    assert_eq!((code, said.contains("--yes")), (Some(1), true), "{said}");
    assert_eq!(people(&install), PEOPLE as usize + 2);
    let (code, said) = pull(&install, &["crm", "--yes"]);
    assert_eq!((code, people(&install)), (Some(0), PEOPLE as usize / 2), "{said}");
    std::fs::write(&file, recipients(PEOPLE + 2)).unwrap();
    assert_eq!(pull(&install, &[]).0, Some(0));
    // An empty file, a page of somebody else's, the list of last week.
    for text in ["", "<html>signed out</html>\n", "id,name,phone\n"] {
        std::fs::write(&file, text).unwrap();
        let (code, said) = pull(&install, &[]);
        assert_eq!(code, Some(1), "{text:?}: {said}");
    }
    std::fs::write(&file, recipients(PEOPLE + 3)).unwrap();
    let week = SystemTime::from(local_now() - chrono::Days::new(7));
    std::fs::File::options().write(true).open(&file).unwrap().set_modified(week).unwrap();
    let (code, said) = pull(&install, &[]);
    assert_eq!((code, said.contains("168 h ago, and 24 h are allowed")), (Some(1), true), "{said}");
    assert_eq!(people(&install), PEOPLE as usize + 2);
    let (code, said) = pull(&install, &["crm2"]);
    assert_eq!((code, said.contains("configured are crm")), (Some(2), true), "{said}");
    let audit = install.ok(&["audit", "list", "--format", "csv"]);
    assert!(audit.contains("a pull") && audit.contains("pull crm"), "{audit}");
}

#[test]
fn a_file_that_is_half_written_and_then_whole_again_is_imported_again() {
    let source = LIST.replace("recipients", "content").replace("list.csv", "text.ndjson");
    let install = with_pulls(&source);
    std::fs::create_dir(install.path("in")).unwrap();
    let (file, whole) = (install.path("in/text.ndjson"), content("Whole"));
    let sendable = || {
        let plan = install.output(&["plan", "--format", "json"]).stdout;
        serde_json::from_slice::<serde_json::Value>(&plan).unwrap()["deliverable"].clone()
    };
    std::fs::write(&file, &whole).unwrap();
    assert_eq!(pull(&install, &[]).0, Some(0));
    assert_eq!(sendable(), PEOPLE);
    std::fs::write(&file, &whole[..100]).unwrap();
    assert_eq!(pull(&install, &[]).0, Some(1));
    std::fs::write(&file, &whole).unwrap();
    let (code, said) = pull(&install, &[]);
    assert_eq!((code, said.contains("the same as")), (Some(0), false), "{said}");
    assert_eq!(sendable(), PEOPLE);
    // What somebody imports by hand in between is not what the source says.
    std::fs::write(install.path("hand.ndjson"), content("By hand")).unwrap();
    install.ok(&["content", "import", install.path("hand.ndjson").to_str().unwrap(), "--yes"]);
    let (code, said) = pull(&install, &[]);
    assert_eq!((code, said.contains("~1")), (Some(0), true), "{said}");
    // Something that is no file, and would never end.
    std::fs::remove_file(&file).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(&file).status().unwrap().success());
    let (code, said) = pull(&install, &[]);
    assert_eq!((code, said.contains("is no file")), (Some(1), true), "{said}");
}

/// Answers each request with what `answer` makes of its path and headers.
fn server(answer: fn(&str, &str) -> String) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let mut lines = BufReader::new(&stream).lines();
            let first = lines.next().and_then(Result::ok).unwrap_or_default();
            let headers: Vec<String> =
                lines.map_while(Result::ok).take_while(|line| !line.is_empty()).collect();
            let path = first.split(' ').nth(1).unwrap_or("").to_owned();
            let _ = (&stream).write_all(answer(&path, &headers.join("\n")).as_bytes());
        }
    });
    port
}

fn ok(body: &str, more: &str) -> String {
    format!(
        "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n{more}Connection: close\r\n\r\n{body}",
        body.len()
    )
}

fn content(headline: &str) -> String {
    format!(
        r#"{{"recipient_id":"*","params":{{"headline":"{headline}"}},"approved_by":"Desk","approved_at":"2026-01-15T18:00:00+05:30"}}"#
    )
}

#[test]
fn content_over_http_goes_to_the_next_runs_date_and_one_source_that_is_away_holds_up_no_other() {
    let port = server(|path, headers| match path {
        "/old" => ok(&content("Old"), "Last-Modified: Sat, 21 Mar 2026 07:28:00 GMT\r\n"),
        "/secret?sig=hunter2" => "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n".to_owned(),
        "/elsewhere" => {
            "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n"
                .to_owned()
        }
        path if path.ends_with("/content.ndjson") => ok(&content(path), ""),
        _ => ok(headers, ""),
    });
    let source = |name: &str, path: &str| {
        format!(
            "\n[[pulls]]\nname = \"{name}\"\nset = \"content\"\nfrom = \"http://127.0.0.1:{port}{path}\"\nat = [\"05:00\"]\n"
        )
    };
    let sources = [
        source("old", "/old"),
        source("signed", "/secret?sig=hunter2"),
        source("moved", "/elsewhere"),
        source("good", "/{date}/content.ndjson"),
    ];
    let install = with_pulls(&sources.concat());
    let (code, said) = pull(&install, &[]);
    assert_eq!(code, Some(1), "{said}");
    for want in [
        "pull old: what is there",
        "pull signed: its source answers 403",
        "pull moved: its source answers 302",
        "+0 −0 ~1",
    ] {
        assert!(said.contains(want), "{want} is not in {said}");
    }
    assert!(!said.contains("hunter2"), "a signed URL is a secret: {said}");
    let today = local_now().date_naive();
    let body = install.ok(&["content", "preview", "r00001", "--date", &today.to_string()]);
    assert!(body.contains(&format!("/{today}/content.ndjson")), "{body}");
    let (_, said) = pull(&install, &["good"]);
    assert!(said.contains("the same as the last time"), "{said}");
}

#[test]
fn the_daemon_fetches_at_its_times_and_again_until_it_worked() {
    let now = local_now();
    let at = now.format("%H:%M");
    let install = with_pulls(&LIST.replace("05:00", &at.to_string()));
    let _daemon = install.start(&["serve"]);
    let failing =
        || install.get("/metrics").is_some_and(|(_, text)| text.contains("subah_pulls_failing 1"));
    until("a source that is away", || failing().then_some(()));
    std::fs::create_dir(install.path("in")).unwrap();
    std::fs::write(install.path("in/list.csv"), recipients(PEOPLE + 5)).unwrap();
    until("the list, a moment later", || (people(&install) == PEOPLE as usize + 5).then_some(()));
    until("no source that fails", || (!failing()).then_some(()));
}

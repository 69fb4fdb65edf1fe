//! Goal: nothing wrong goes in and nothing true is lost, whatever people's files look like.
//! Method: files of the kinds that failed in the field, through the command line.

use std::path::PathBuf;
use std::process::Output;
use std::time::Duration;

use tests::install::{Install, Times};

const LATER: Times =
    Times { opens_in: Duration::from_secs(3_000), length: Duration::from_secs(60) };
const HEADER: &str = "id,name,phone,language,consent_utility\n";

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

struct Desk(Install);

impl Desk {
    fn new() -> Self {
        Desk(Install::new(1, LATER))
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.path(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }

    /// Imports and says the exit code and everything that was printed.
    fn import(&self, what: &str, name: &str, bytes: impl AsRef<[u8]>) -> (i32, String) {
        let path = self.write(name, bytes);
        let output = self.0.output(&[what, "import", path.to_str().unwrap(), "--yes"]);
        (output.status.code().unwrap(), text(&output))
    }

    fn recipients(&self, rows: &str) -> (i32, String) {
        self.import("recipients", "list.csv", format!("{HEADER}{rows}"))
    }

    /// The list in full, without its header.
    fn list(&self) -> String {
        let all = self.0.ok(&["recipients", "list", "--format", "csv", "--reveal"]);
        all.split_once('\n').unwrap().1.to_owned()
    }

    fn plan(&self) -> String {
        text(&self.0.output(&["plan"]))
    }
}

#[test]
fn one_bad_byte_costs_its_row_and_no_name_is_mangled() {
    let desk = Desk::new();
    let mut file =
        format!("{HEADER}a0,आशा राव,9876500000,hi,yes\na1,विक्रम,9876500001,hi,yes\n").into_bytes();
    file.extend(b"a2,Rao \x96 Sons,9876500002,en,yes\n");
    let (code, said) = desk.import("recipients", "list.csv", &file);
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("line 4: a character is damaged"), "{said}");
    assert!(said.contains("4 lines = 2 accepted + 1 refused"), "{said}");
    assert!(desk.list().contains("आशा राव") && !desk.list().contains("Sons"), "{}", desk.list());
    let cut = format!("{HEADER}a0,Asha,9876500000,hi,yes\na1,आशा");
    let (_, said) = desk.import("recipients", "list.csv", &cut.as_bytes()[..cut.len() - 1]);
    assert!(said.contains("ends inside a character of UTF-8"), "{said}");
}

#[test]
fn an_open_quote_swallows_no_row_in_silence() {
    let desk = Desk::new();
    let mut rows = String::new();
    for n in 0..40 {
        let firm = if n == 9 { "\"Rao & Co".to_owned() } else { format!("Firm {n}") };
        rows += &format!("a{n:02},Adviser,98765000{n:02},en,yes,{firm}\n");
    }
    let header = "id,name,phone,language,consent_utility,firm\n";
    for tail in ["", "b1,Last,9876500099,en,yes,\"Firm 99\"\nb2,More,9876500098,en,yes,F\n"] {
        let file = format!("{header}{rows}{tail}");
        let (code, said) = desk.import("recipients", "list.csv", &file);
        assert_eq!(code, 1, "{said}");
        assert!(said.contains("line 11: a quote"), "{said}");
        assert!(
            said.contains("line 12: stands inside the quote that is opened on line 11"),
            "{said}"
        );
        let errors = std::fs::read_to_string(desk.0.path("list.csv.errors.csv")).unwrap();
        let named = (11..=41).all(|line| errors.contains(&format!("\n{line},")));
        assert!(named, "each of them by its line: {errors}");
    }
    let (code, said) =
        desk.recipients("a1,\"Asha\nRao\",9876500001,en,yes\r\na2,Usha,98765,en,yes\r\n");
    assert_eq!(code, 1);
    assert!(
        said.contains("4 lines = 1 accepted + 1 refused + 0 blank + 1 header + 1 inside"),
        "{said}"
    );
    assert!(said.contains("line 4: phone"), "the line that an editor shows: {said}");
}

#[test]
fn one_phone_is_never_in_the_list_twice() {
    let desk = Desk::new();
    desk.recipients("a1,Asha Rao,9876500001,en,yes\na2,Vikram Shah,9876500002,en,yes\n");
    desk.recipients("a1,Vikram Shah,9876500002,en,yes\na2,Asha Rao,9.8765E+09,en,yes\n");
    assert_eq!(desk.list().matches("9876500002").count(), 1, "{}", desk.list());
    // Whoever edits the copy by hand changes nothing: the records have the list.
    let stored = desk.0.path("state/recipients.ndjson");
    let row = std::fs::read_to_string(&stored).unwrap();
    let twice = format!("{row}{}", row.replace("\"a1\"", "\"zz\""));
    std::fs::write(&stored, twice).unwrap();
    assert!(!desk.plan().contains("zz"), "{}", desk.plan());
}

#[test]
fn any_no_ends_the_stored_yes() {
    let yes = "a1,Asha Rao,9876500001,en,yes\na2,Vikram Shah,9876500002,en,yes\n";
    let desk = Desk::new();
    for rows in [
        "a1,Asha Rao,9876500001,en,STOP\na2,Vikram Shah,9876500002,en,opted out\n",
        "a1,Asha Rao,9876500001,en,withdrawn\na2,Vikram Shah,98765,en,no\n",
        "a1,Asha Rao,98765,en,no\na2,Vikram, Shah,9876500002,en,no\n",
        "a1,Asha Rao,9876500001,en,maybe\na2,Vikram, Shah,9876500002,en,no\nb1,New,9876500009,en,no\n",
        "a1,Asha Rao,9876500001,en,no\ncrm-77,Asha,+91 98765 00001,en,yes\na2,V,9876500002,en,\n",
    ] {
        desk.recipients(yes);
        desk.recipients(rows);
        let list = desk.list();
        assert!(!list.contains(",yes,"), "after {rows}: {list}");
    }
    desk.recipients("a1,Asha Rao,9876500001,en,yes\ncrm-77,Asha Rao,+91 98765 00001,en,no\n");
    assert!(!desk.list().contains(",yes,"), "of two rows no wins: {}", desk.list());
}

#[test]
fn a_refused_correction_holds_its_recipient_back() {
    let desk = Desk::new();
    desk.recipients("a1,Asha Rao,9876500001,en,yes\na2,Vikram Shah,9876500002,en,yes\n");
    let row = |id: &str, headline: &str| {
        format!(
            "{{\"recipient_id\":\"{id}\",\"params\":{{\"headline\":{headline}}},\"approved_by\":\"C\",\"approved_at\":\"2026-01-15T18:00Z\"}}\n"
        )
    };
    let first = row("*", "\"GENERIC\"") + &row("a1", "\"OLD price 999\"");
    assert_eq!(desk.import("content", "c.ndjson", first).0, 0);
    let second = row("*", "\"GENERIC\"") + &row("a1", "[\"NEW price 9\"]");
    let (code, said) = desk.import("content", "c.ndjson", second);
    assert!(code == 1 && said.contains("held back: a1 gets nothing"), "{said}");
    let plan = desk.plan();
    assert!(plan.contains("2 recipients: 1 to be sent, 1 left out"), "{plan}");
    assert!(plan.contains("a1: the content's row is refused: line 2"), "{plan}");
    let pretty = "{\n \"recipient_id\": \"a1\",\n \"params\": {\"headline\": \"x\"}\n}\n";
    let (code, said) = desk.import("content", "c.ndjson", pretty);
    assert!(code == 1 && said.contains("one object a line"), "{said}");
    assert!(desk.plan().contains("1 to be sent"), "what was stored stays");
}

#[test]
fn an_import_says_what_it_changes_asks_and_can_be_undone() {
    let desk = Desk::new();
    desk.recipients(
        "a1,Asha,9876500001,en,yes\na2,Usha,9876500002,en,yes\na3,Meera,9876500003,en,yes\n",
    );
    let path = desk.write(
        "next.csv",
        format!("{HEADER}a1,Asha R,9876500001,en,yes\nb1,New,9876500009,en,yes\n"),
    );
    let path = path.to_str().unwrap();
    let before = desk.list();
    let asked = desk.0.output(&["recipients", "import", path]);
    assert_eq!(asked.status.code(), Some(1));
    let said = text(&asked);
    assert!(
        said.contains("+1 −2 ~1 =0") && said.contains("2 of 3 recipients would go; --yes"),
        "{said}"
    );
    let dry = desk.0.output(&["recipients", "import", path, "--yes", "--dry-run"]);
    assert_eq!(dry.status.code(), Some(0));
    assert_eq!(desk.list(), before, "nothing was changed");
    desk.0.ok(&["recipients", "import", path, "--yes"]);
    assert!(desk.list().contains("b1"));
    desk.0.ok(&["recipients", "undo"]);
    assert_eq!(desk.list(), before);
    for empty in [HEADER.to_owned(), format!("{HEADER}a1,Asha,98765,en,yes\n"), String::new()] {
        let path = desk.write("empty.csv", empty);
        let output = desk.0.output(&["recipients", "import", path.to_str().unwrap()]);
        assert_eq!(output.status.code(), Some(1), "{}", text(&output));
        assert_eq!(desk.list(), before);
    }
    // What the list writes can be read again, and changes nothing.
    let csv = desk.0.ok(&["recipients", "list", "--format", "csv", "--reveal"]);
    let (code, said) = desk.import("recipients", "again.csv", csv);
    assert!(code == 0 && said.contains("+0 −0 ~0 =3"), "{said}");
    // A damaged stored file does not stop the import that replaces it.
    std::fs::write(desk.0.path("state/recipients.ndjson"), b"\xff{{{\n").unwrap();
    assert_eq!(desk.recipients("a1,Asha,9876500001,en,yes\n").0, 0);
}

/// A note that was damaged, and files that a killed import left: the next import puts both right.
#[test]
fn a_copy_of_no_known_version_is_fetched_and_left_overs_go() {
    let desk = Desk::new();
    desk.recipients("a1,Asha,9876500001,en,yes\na2,Usha,9876500002,en,yes\n");
    let note = desk.0.path("state/recipients.version.json");
    let text = std::fs::read_to_string(&note).unwrap();
    std::fs::write(&note, text.replace("\"version\":1", "\"version\":99")).unwrap();
    let left = desk.0.path("state/.import-aBcDeF");
    std::fs::write(&left, "{\"id\":\"gone\",\"phone\":\"+919876500003\"}\n").unwrap();
    let (code, said) = desk.recipients("a1,Asha R,9876500001,en,yes\na2,Usha,9876500002,en,yes\n");
    assert!(code == 0 && said.contains("+0 −0 ~1 =1"), "{said}");
    assert!(!left.exists(), "what nobody imports any more is removed");
}

/// What a person has edited before there were records is taken up without the rows that are odd.
#[test]
fn odd_rows_of_an_earlier_list_cost_themselves_and_no_later_import() {
    let desk = Desk::new();
    desk.recipients("a1,Asha,9876500001,en,yes\na2,Usha,9876500002,en,yes\n");
    let stored = desk.0.path("state/recipients.ndjson");
    let rows = std::fs::read_to_string(&stored).unwrap();
    for name in ["records.db", "recipients.version.json"] {
        std::fs::remove_file(desk.0.path(&format!("state/{name}"))).unwrap();
    }
    let first = rows.lines().next().unwrap();
    std::fs::write(&stored, format!("{rows}{first}\n\u{0}garbage\n")).unwrap();
    let (code, said) = desk.recipients("a1,Asha,9876500001,en,yes\nb1,New,9876500009,en,yes\n");
    assert!(code == 0, "{said}");
    let said_so = "1 cannot be read, 1 repeat an id";
    assert!(said.contains(said_so), "{said}");
    assert!(desk.list().contains("b1") && desk.list().matches("a1").count() == 1);
    let history = desk.0.ok(&["recipients", "history", "--format", "csv"]);
    assert_eq!(history.lines().count(), 3, "taken up, then imported: {history}");
}

#[test]
fn texts_people_would_be_ashamed_of_do_not_go_out() {
    let desk = Desk::new();
    let (_, said) = desk.recipients(
        "v1,#N/A,9876500001,en,yes\nv2,null,9876500002,en,yes\nv5,{{name}},9876500005,en,yes\n\
         v6,Mr. Rajesh Kumar,9876500006,en,yes\nv7,\"Rao, Asha\",9876500007,en,yes\nv15,9876500015,9876500015,en,yes\n",
    );
    for want in [
        "line 2:",
        "[spreadsheet-error]",
        "[nothing-word]",
        "[placeholder]",
        "[name-is-number]",
        "[name-has-title]",
    ] {
        assert!(said.contains(want), "{want} in {said}");
    }
    let content = "recipient_id,headline,approved_by,approved_at\n*,NIFTY up,C,2026-01-15\n\
                   v6,\"Hi {{first_name}}, NIFTY #REF!\",C,2026-01-15\nv7,undefined,C,2026-01-15\n";
    let (code, said) = desk.import("content", "c.csv", content);
    assert!(code == 1 && said.contains("line 3:") && said.contains("line 4:"), "{said}");
    let plan = desk.plan();
    assert!(plan.contains("0 to be sent"), "nobody without a name, nobody held back: {plan}");
    let config = std::fs::read_to_string(desk.0.path("subah.toml")).unwrap();
    let config = format!("{config}[campaign.defaults]\nfirst_name = \"there\"\n");
    std::fs::write(desk.0.path("subah.toml"), config).unwrap();
    assert!(desk.plan().contains("4 to be sent"), "{}", desk.plan());
    let preview = desk.0.ok(&["content", "preview", "v1"]);
    assert!(preview.contains("there"), "{preview}");
}

#[test]
fn media_stay_inside_the_imports_folder_and_are_what_they_say() {
    let desk = Desk::new();
    let config = std::fs::read_to_string(desk.0.path("subah.toml")).unwrap();
    let image =
        config.replace("name = \"daily_pack\"\n", "name = \"daily_pack\"\nheader = \"image\"\n");
    std::fs::write(desk.0.path("subah.toml"), image).unwrap();
    desk.write("promo.jpg", b"RIFF\0\0\0\0WEBPVP8 \0\0");
    desk.write("page.jpg", b"<!DOCTYPE html>");
    std::os::unix::fs::symlink("/etc/hostname", desk.0.path("link.jpg")).unwrap();
    let rows = [
        ("promo.jpg", "its first bytes say image/webp"),
        ("page.jpg", "a web page"),
        ("gone.jpg", "cannot be read"),
        ("link.jpg", "is a link"),
        ("../../../etc/passwd", "outside the import's folder"),
        ("/etc/passwd", "outside the import's folder"),
        ("https://drive.google.com/file/d/1AbC/view?usp=sharing", "a page that shows a file"),
        ("http://example.in/promo.jpg", "not https"),
        ("https://192.168.1.10/promo.jpg", "private host"),
        ("https://example.in/my promo.jpg", "holds blanks"),
    ];
    let mut content = "recipient_id,headline,media,approved_by,approved_at\n".to_owned();
    for (n, (media, _)) in rows.iter().enumerate() {
        content += &format!("a{n},Hello,{media},C,2026-01-15\n");
    }
    content += "ok,Hello,https://cdn.example.in/a.jpg,C,2026-01-15\n";
    let (code, said) = desk.import("content", "c.csv", content);
    assert_eq!(code, 1);
    let errors = std::fs::read_to_string(desk.0.path("c.csv.errors.csv")).unwrap();
    for (n, (_, why)) in rows.iter().enumerate() {
        let line = errors.lines().find(|line| line.starts_with(&format!("{},", n + 2)));
        assert!(line.is_some_and(|line| line.contains(why)), "{why} in {errors}");
    }
    assert!(said.contains("11 rows of content") || said.contains("+"), "{said}");
}

#[test]
fn an_errors_file_goes_where_it_can_be_written() {
    let desk = Desk::new();
    let bad = format!("{HEADER}a1,Asha,98765,en,yes\na2,Usha,9876500002,en,yes\n");
    let mut command = desk.0.command(&["recipients", "import", "-", "--yes"]);
    command.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
    let mut child = command.stderr(std::process::Stdio::piped()).spawn().unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), bad.as_bytes()).unwrap();
    let said = text(&child.wait_with_output().unwrap());
    assert!(said.contains("state/errors/stdin.errors.csv"), "{said}");
    // A link of that name is replaced, not followed.
    let victim = desk.write("victim", "precious");
    std::os::unix::fs::symlink(&victim, desk.0.path("list.csv.errors.csv")).unwrap();
    desk.import("recipients", "list.csv", &bad);
    assert_eq!(std::fs::read_to_string(&victim).unwrap(), "precious");
}

#[test]
fn what_is_written_can_be_read_by_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let desk = Desk::new();
    desk.0.ok(&["recipients", "list", "--reveal"]);
    for name in ["state", "state/recipients.ndjson", "state/content", "state/audit.ndjson"] {
        let mode = std::fs::metadata(desk.0.path(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{name}: {mode:o}");
    }
    let audit = std::fs::read_to_string(desk.0.path("state/audit.ndjson")).unwrap();
    assert!(audit.contains("\"revealed\":\"recipients list\""), "{audit}");
}

const STORED: &str =
    "a1,Asha,9876500001,en,yes\nb2,Bina,9876500002,en,yes\nc3,Cina,9876500003,en,yes\n";

/// Lists that a stranger found.
#[test]
fn a_strangers_lists_lose_nobody() {
    let desk = Desk::new();
    let list = |rows: &str| {
        let said = desk.recipients(rows);
        (said.0, said.1, desk.list())
    };
    // A quote that swallows exactly one row.
    list(STORED);
    let (code, said, now) = list(
        "a1,\"Asha,9876500001,en,no\nb2,Bina\",9876500002,en,yes\nc3,Cina,9876500003,en,yes\n",
    );
    assert_eq!(code, 1, "{said}");
    assert!(now.contains("a1,Asha,'+919876500001,,,en,no"), "{now}");
    // A row without an id is still somebody's.
    list(STORED);
    let (_, _, now) = list(",Asha,9876500001,en,yes\nb2,Bina,9876500002,en,yes\n");
    assert!(now.contains("9876500001"), "{now}");
    // A no by id holds for the number that is stored under it.
    list(STORED);
    let (_, _, now) = list("a1,Asha,9876500002,en,yes\nb2,Bina,bad,en,no\n");
    assert!(!now.contains("9876500002,,,en,yes"), "{now}");
    // Three rows of one person, known by phone and by user id.
    let chain = "id,name,phone,bsuid,consent_utility\na,Asha,9876500001,,yes\n\
                 b,Bina,9876500001,IN.123456789,yes\nc,Cina,9876500003,IN.123456789,no\n";
    desk.import("recipients", "chain.csv", chain);
    assert!(desk.list().contains("a,Asha,'+919876500001,,,,no"), "{}", desk.list());
    for (header, row) in [
        ("id,name,phone,mobile,consent_utility", "a1,Asha,9876500001,9876500002,yes"),
        ("id,phone,consent_utility,name,firm", "a1,9876500001,yes,Rao, Asha,"),
        ("id,name,phone,consent_utility", "a1,Asha,9876500001,-1"),
    ] {
        let (code, said) = desk.import("recipients", "x.csv", format!("{header}\n{row}\n"));
        assert_eq!(code, 1, "{header}: {said}");
    }
}

fn content_row(id: &str, headline: &str) -> String {
    format!(
        "{{\"recipient_id\":\"{id}\",\"params\":{{\"headline\":{headline}}},\"approved_by\":\"C\",\"approved_at\":\"2026-01-15\"}}"
    )
}

/// Corrections that cannot be read whole, and who gets nothing by each.
fn torn_corrections() -> Vec<(&'static str, String, Vec<&'static str>)> {
    let row = content_row;
    vec![
        (
            "cut inside the id",
            format!("{}\n{{\"recipient_id\":\"a", row("*", "\"STAR\"")),
            vec!["a1", "b2"],
        ),
        (
            "two ids",
            format!(
                "{}\n{{\"recipient_id\":\"a1\",\"recipient_id\":\"b2\"}}\n",
                row("*", "\"STAR\"")
            ),
            vec!["a1", "b2"],
        ),
        (
            "two objects",
            format!("{}\n{}{}\n", row("*", "\"STAR\""), row("a1", "\"N\""), row("b2", "\"N\"")),
            vec!["a1", "b2"],
        ),
        (
            "no good row",
            "{\"recipient_id\":\"a1\",\"params\":{\"headline\":\"NEW\"\n".to_owned(),
            vec!["a1"],
        ),
        (
            "a number that changes",
            format!("{}\n{}\n{}\n", row("*", "\"S\""), row("b2", "\"N\""), row("a1", "1250.50")),
            vec!["a1"],
        ),
    ]
}

/// Content that a stranger found.
#[test]
fn a_strangers_content_sends_nothing_wrong() {
    let (desk, row) = (Desk::new(), content_row);
    let old =
        format!("{}\n{}\n{}\n", row("*", "\"STAR\""), row("a1", "\"OLD\""), row("b2", "\"OLD\""));
    let preview = |id: &str| text(&desk.0.output(&["content", "preview", id]));
    for (name, correction, held) in torn_corrections() {
        desk.recipients(STORED);
        assert_eq!(desk.import("content", "c.ndjson", &old).0, 0);
        desk.import("content", "c.ndjson", &correction);
        for id in held {
            let said = preview(id);
            assert!(said.contains("gets nothing"), "{name}: {id}: {said}");
        }
    }
    // Nobody can tell whom it is for: asked about before all get the text of everyone.
    let path =
        desk.write("c.ndjson", format!("{}\n{{\"recipient_id\":a1}}\n", row("*", "\"STAR\"")));
    let asked = desk.0.output(&["content", "import", path.to_str().unwrap(), "--date", "tomorrow"]);
    assert!(
        asked.status.code() == Some(1) && text(&asked).contains("do not say whom"),
        "{}",
        text(&asked)
    );
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let output = desk.0.command(&["formats"]).stdout(full).output().unwrap();
    assert_eq!(output.status.code(), Some(69), "{}", text(&output));
}

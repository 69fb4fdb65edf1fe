//! Drafts as files: `FAMILY/vN/LANGUAGE.toml` below a folder, or a creation body of Meta's as JSON.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use cloud_api::management::draft_of;
use serde_json::Value;
use templates::draft::Draft;

/// Largest file that is read as a draft.
const BYTES_MAX: u64 = 1024 * 1024;
/// Folders within folders.
const DEPTH_MAX: usize = 8;

/// A draft, and the file that it stands in.
#[derive(Clone, Debug)]
pub struct Written {
    pub path: PathBuf,
    pub draft: Draft,
}

/// A file that is no draft: it costs itself, the others are read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {why}", path = path.display())]
pub struct BadFile {
    pub path: PathBuf,
    pub why: String,
}

/// Every draft in files and folders, in order of their paths, and what could not be read.
pub fn read(paths: &[PathBuf]) -> (Vec<Written>, Vec<BadFile>) {
    let (mut files, mut bad) = (Vec::new(), Vec::new());
    for path in paths {
        collect(path, Named::ByHand, DEPTH_MAX, &mut files, &mut bad);
    }
    files.sort();
    files.dedup();
    let mut drafts = Vec::new();
    for path in files {
        let read = match read_file(&path) {
            Ok(read) => read,
            Err(why) => vec![Err(why)],
        };
        for one in read {
            match one {
                Ok(draft) => drafts.push(Written { path: path.clone(), draft }),
                Err(why) => bad.push(BadFile { path: path.clone(), why }),
            }
        }
    }
    (drafts, bad)
}

/// Whether somebody named a path, or it was found in a folder.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Named {
    ByHand,
    ByFolder,
}

fn collect(path: &Path, named: Named, depth: usize, to: &mut Vec<PathBuf>, bad: &mut Vec<BadFile>) {
    let mut fail = |why: String| bad.push(BadFile { path: path.to_owned(), why });
    let seen = match fs::metadata(path) {
        Ok(seen) => seen,
        Err(error) => return fail(error.to_string()),
    };
    let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or("");
    if !seen.is_dir() {
        match (named, ending) {
            (_, "toml" | "json") => to.push(path.to_owned()),
            (Named::ByHand, _) => fail("expected a .toml or .json file, or a folder".to_owned()),
            (Named::ByFolder, _) => {} // pictures of samples, notes
        }
        return;
    }
    if depth == 0 {
        return fail(format!("more than {DEPTH_MAX} folders within folders"));
    }
    match fs::read_dir(path) {
        Ok(entries) => {
            let mut inner: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
            inner.sort();
            let hidden = |path: &PathBuf| {
                path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'))
            };
            for path in inner.iter().filter(|path| !hidden(path)) {
                collect(path, Named::ByFolder, depth - 1, to, bad);
            }
        }
        Err(error) => fail(error.to_string()),
    }
}

/// The drafts of a file; in a list one that cannot be read costs itself.
fn read_file(path: &Path) -> Result<Vec<Result<Draft, String>>, String> {
    // Asked before it is opened: a pipe that nobody writes to would wait for ever.
    if !fs::metadata(path).is_ok_and(|seen| seen.is_file()) {
        return Err("it is no ordinary file".to_owned());
    }
    let file = fs::File::open(path).map_err(|e| e.to_string())?;
    let mut bytes = Vec::new();
    file.take(BYTES_MAX + 1).read_to_end(&mut bytes).map_err(|e| e.to_string())?;
    if bytes.len() as u64 > BYTES_MAX {
        return Err(format!("more than {} KiB: that is no template", BYTES_MAX / 1024));
    }
    let text = String::from_utf8(bytes).map_err(|_| "it is not in UTF-8".to_owned())?;
    let text = text.trim_start_matches('\u{feff}');
    let drafts = match path.extension().is_some_and(|ending| ending == "json") {
        true => read_json(text)?,
        false => vec![read_toml(text)],
    };
    Ok(drafts.into_iter().map(|draft| place(draft?, path)).collect())
}

fn read_toml(text: &str) -> Result<Draft, String> {
    toml::from_str(text).map_err(|error| {
        let line =
            error.span().map(|span| text[..span.start.min(text.len())].matches('\n').count());
        let line = line.map_or(String::new(), |line| format!("line {}: ", line + 1));
        format!("{line}{}", error.message())
    })
}

/// One creation body, a list of them, or Graph's own list.
fn read_json(text: &str) -> Result<Vec<Result<Draft, String>>, String> {
    let value: Value = serde_json::from_str(text).map_err(|e| e.to_string())?;
    let list = match &value {
        Value::Array(list) => list.as_slice(),
        Value::Object(fields) => match fields.get("data").and_then(Value::as_array) {
            Some(list) => list.as_slice(),
            None => std::slice::from_ref(&value),
        },
        _ => return Err("expected a template's creation body".to_owned()),
    };
    if list.is_empty() {
        return Err("the list holds no template".to_owned());
    }
    let several = list.len() > 1;
    let read = |(at, one): (usize, &Value)| {
        draft_of(one).map_err(|e| if several { format!("[{at}]: {e}") } else { e.to_string() })
    };
    Ok(list.iter().enumerate().map(read).collect())
}

/// Gives a draft the name and language that its path says, and refuses two that differ.
fn place(mut draft: Draft, path: &Path) -> Result<Draft, String> {
    let part = |n: usize| path.iter().rev().nth(n).and_then(|part| part.to_str());
    let version = part(1).and_then(|folder| folder.strip_prefix('v')?.parse::<u32>().ok());
    let by_path = match (part(2), version) {
        (Some(family), Some(version)) => Some(name_of(family, version)),
        _ => None,
    };
    match (&by_path, draft.name.is_empty()) {
        (Some(name), true) => draft.name.clone_from(name),
        (Some(name), false) if draft.name != *name => {
            return Err(format!("name is {:?}, and the folders say {name:?}", draft.name));
        }
        (None, true) => {
            return Err(
                "it has no name: name = \"…\", or put it at FAMILY/vN/LANGUAGE.toml".to_owned()
            );
        }
        _ => {}
    }
    let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or("");
    if draft.language.is_empty() {
        draft.language = stem.to_owned();
    } else if by_path.is_some() && draft.language != stem {
        return Err(format!("language is {:?}, and the file is {stem:?}", draft.language));
    }
    Ok(draft)
}

/// What a version of a family is called at Meta.
pub fn name_of(family: &str, version: u32) -> String {
    format!("{family}_v{version}")
}

/// The family and number of a version; a name without a number is a family's only one.
pub fn family_of(name: &str) -> (&str, Option<u32>) {
    let split = name.rsplit_once("_v").and_then(|(family, version)| {
        let plain = !version.starts_with('0') && version.bytes().all(|b| b.is_ascii_digit());
        Some((family, version.parse().ok().filter(|_| plain && !family.is_empty())?))
    });
    split.map_or((name, None), |(family, version)| (family, Some(version)))
}

/// Where a draft is written below a folder.
pub fn path_of(dir: &Path, draft: &Draft) -> PathBuf {
    let file = format!("{}.toml", draft.language);
    match family_of(&draft.name) {
        (family, Some(version)) => dir.join(family).join(format!("v{version}")).join(file),
        (name, None) => dir.join(name).join(file),
    }
}

/// A draft as the text of its file.
///
/// # Errors
/// When a part of it cannot be written as TOML, such as a `null` of Meta's.
pub fn text_of(draft: &Draft) -> Result<String, toml::ser::Error> {
    let mut shown = draft.clone();
    if family_of(&draft.name).1.is_some() {
        (shown.name, shown.language) = (String::new(), String::new());
    }
    toml::to_string_pretty(&shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DRAFT: &str = "category = \"utility\"\nbody = \"Good morning to all of you.\"\n";

    fn write(dir: &Path, path: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = dir.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    }

    #[test]
    fn a_version_is_named_by_its_folders() {
        assert_eq!(family_of("daily_pack_v12"), ("daily_pack", Some(12)));
        for name in ["daily_pack", "daily_pack_v", "daily_pack_v01", "_v1", "daily_pack_vx"] {
            assert_eq!(family_of(name), (name, None));
        }
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), "daily_pack/v2/hi.toml", DRAFT);
        write(dir.path(), "daily_pack/v2/picture.png", "no draft");
        write(dir.path(), ".git/config.toml", "no draft");
        let (found, bad) = read(&[dir.path().to_owned()]);
        assert_eq!(bad, []);
        let draft = &found[0].draft;
        assert_eq!((&*draft.name, &*draft.language), ("daily_pack_v2", "hi"));
        let there = path_of(dir.path(), draft);
        assert_eq!(there, dir.path().join("daily_pack/v2/hi.toml"));
        let again = write(dir.path(), "daily_pack/v2/hi.toml", text_of(draft).unwrap());
        assert_eq!(&read(&[again]).0[0].draft, draft);
    }

    #[test]
    fn a_bad_file_costs_itself_and_says_why() {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), "good/v1/en.toml", DRAFT);
        let cases: &[(&str, &[u8], &str)] = &[
            ("a/v1/en.toml", b"category = 7", "line 1"),
            ("b/v1/en.toml", b"category = \"utility\"\nbdy = \"x\"", "bdy"),
            ("c/v1/en.toml", b"\xff\xfe", "UTF-8"),
            ("d/en.toml", DRAFT.as_bytes(), "no name"),
            ("e/v1/en.toml", b"name = \"other\"\ncategory = \"utility\"\nbody = \"x\"", "folders"),
            ("f/v1/en.json", b"{\"category\": \"UTILITY\"}", "components"),
            ("g/v1/en.json", b"[1", "EOF"),
            ("h/v1/en.toml", b"", "category"),
        ];
        for (path, bytes, _) in cases {
            write(dir.path(), path, bytes);
        }
        let (found, bad) = read(&[dir.path().to_owned()]);
        assert_eq!(found.len(), 1);
        assert_eq!(bad.len(), cases.len());
        for (path, _, word) in cases {
            let said = bad.iter().find(|bad| bad.path.ends_with(path)).unwrap();
            assert!(said.why.contains(word), "{path}: {}", said.why);
        }
        let pipe = dir.path().join("pipe.toml");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status().unwrap();
        assert!(made.success());
        assert_eq!(read(&[pipe]).1.len(), 1, "a pipe is not waited for");
        let (_, bad) = read(&[dir.path().join("nowhere"), dir.path().join("README.md")]);
        assert_eq!(bad.len(), 2);
    }

    #[test]
    fn a_creation_body_and_graphs_list_are_read() {
        let dir = tempfile::tempdir().unwrap();
        let one = r#"{"name": "x", "language": "en", "category": "UTILITY",
            "components": [{"type": "BODY", "text": "Good morning."}]}"#;
        write(dir.path(), "one.json", one);
        write(dir.path(), "two.json", format!("\u{feff}{{\"data\": [{one}, {one}]}}"));
        let (found, bad) = read(&[dir.path().to_owned()]);
        assert_eq!((found.len(), bad), (3, vec![]));
        write(dir.path(), "three.json", format!("[{one}, 5, {one}, null]"));
        write(dir.path(), "none.json", "[]");
        let (found, bad) = read(&[dir.path().to_owned()]);
        assert_eq!((found.len(), bad.len()), (5, 3), "each entry costs itself: {bad:?}");
        assert!(bad.iter().any(|bad| bad.why.starts_with("[3]: ")), "{bad:?}");
    }
}

//! `templates lint|preview|submit|compare|pull`: drafts as files, and beside what Meta has.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use catalogue::files::{self, Written, family_of};
use catalogue::submission::{Step, step};
use config::{Config, Drafts};
use templates::draft::{ButtonKind, Draft, DraftCategory, DraftHeaderFormat, render};
use templates::lint::Severity;
use templates::review::{Remark, review, together};

use super::account::Account;
use crate::cli::Format;
use crate::exit::{Answer, WrongUse};
use crate::output;
use crate::terminal::shown;

/// What is said of drafts, and how many of the remarks are errors.
struct Reviewed {
    written: Vec<Written>,
    /// Each with the index of its draft.
    remarks: Vec<(usize, Remark)>,
    /// Files that are no drafts.
    bad: Vec<files::BadFile>,
}

impl Reviewed {
    fn errors_of(&self, index: usize) -> usize {
        let mine =
            |(at, remark): &&(usize, Remark)| *at == index && remark.severity == Severity::Error;
        self.remarks.iter().filter(mine).count()
    }

    fn is_clean(&self) -> bool {
        self.bad.is_empty() && self.remarks.iter().all(|(_, r)| r.severity != Severity::Error)
    }
}

/// The configuration's rules, or those that hold without one: whoever writes texts has none.
pub struct Rules {
    pub drafts: Drafts,
    pub allow: Vec<String>,
}

impl Rules {
    pub fn find(file: Option<&Path>) -> Result<Rules> {
        let path = Config::find(file);
        if file.is_none() && !path.exists() {
            return Ok(Rules { drafts: Drafts::default_in(Path::new("")), allow: Vec::new() });
        }
        let config = Config::load(&path)?;
        Ok(Rules { drafts: config.drafts, allow: config.lint.allow })
    }

    fn of(config: &Config) -> Rules {
        Rules { drafts: config.drafts.clone(), allow: config.lint.allow.clone() }
    }

    fn read(&self, paths: &[PathBuf]) -> Result<Reviewed> {
        let own = [self.drafts.dir.clone()];
        let paths = if paths.is_empty() { &own[..] } else { paths };
        if let Some(missing) = paths.iter().find(|path| !path.exists()) {
            bail!(WrongUse(format!(
                "there is no {}: expected drafts there, as FAMILY/vN/LANGUAGE.toml",
                missing.display()
            )));
        }
        let (written, bad) = files::read(paths);
        if written.is_empty() && bad.is_empty() {
            bail!(WrongUse(format!(
                "no draft lies in {}: expected FAMILY/vN/LANGUAGE.toml",
                paths[0].display()
            )));
        }
        let drafts: Vec<Draft> = written.iter().map(|one| one.draft.clone()).collect();
        let mut remarks: Vec<(usize, Remark)> = Vec::new();
        for (at, draft) in drafts.iter().enumerate() {
            let of_packs = self.drafts.packs.iter().flat_map(|pack| pack.review(draft));
            remarks.extend(review(draft).into_iter().chain(of_packs).map(|remark| (at, remark)));
        }
        remarks.extend(together(&drafts));
        remarks.retain(|(_, remark)| !self.allow.iter().any(|rule| rule == remark.rule));
        remarks.sort_by_key(|(at, remark)| (*at, remark.severity));
        Ok(Reviewed { written, remarks, bad })
    }
}

pub fn lint(rules: &Rules, paths: &[PathBuf], format: Format) -> Result<Answer> {
    let found = rules.read(paths)?;
    let mut rows = Vec::new();
    for bad in &found.bad {
        let file = bad.path.display().to_string();
        rows.push(["error", "file", &file, "", &bad.why].map(str::to_owned).to_vec());
    }
    for (at, remark) in &found.remarks {
        let file = found.written[*at].path.display().to_string();
        let Remark { rule, severity, place, reason } = remark;
        rows.push([severity.as_str(), rule, &file, place, reason].map(str::to_owned).to_vec());
    }
    if !rows.is_empty() || format != Format::Table {
        output::rows(format, &["severity", "rule", "file", "place", "reason"], &rows)?;
    }
    let errors = rows.iter().filter(|row| row[0] == "error").count();
    let (drafts, warnings) = (found.written.len(), rows.len() - errors);
    output::hint(&format!("{drafts} drafts: {errors} errors, {warnings} warnings"));
    Ok(Answer::from_bool(found.is_clean()))
}

pub fn preview(rules: &Rules, paths: &[PathBuf]) -> Result<Answer> {
    let found = rules.read(paths)?;
    for bad in &found.bad {
        println!("{}", shown(&bad.to_string()));
    }
    for Written { draft, .. } in &found.written {
        println!("{} ({}), {}", draft.name, draft.language, draft.category.as_str());
        for line in bubble(draft) {
            println!("  │ {}", shown(&line));
        }
        println!();
    }
    Ok(Answer::from_bool(found.bad.is_empty()))
}

/// The lines that a phone shows.
fn bubble(draft: &Draft) -> Vec<String> {
    let value = |name: &str| draft.samples.get(name).map(String::as_str);
    let mut lines = Vec::new();
    if let Some(header) = &draft.header {
        lines.push(match header.format {
            DraftHeaderFormat::Text => {
                let of_header = |name: &str| value("header").or_else(|| value(name));
                render(draft.header_text(), of_header)
            }
            other => format!("[{}]", other.as_str()),
        });
        lines.push(String::new());
    }
    if draft.category == DraftCategory::Authentication {
        lines.push("123456 is your verification code.".to_owned());
    }
    lines.extend(draft.rendered_body().lines().map(str::to_owned));
    if let Some(footer) = &draft.footer {
        lines.extend([String::new(), footer.clone()]);
    }
    for (at, card) in draft.cards.iter().enumerate() {
        let body = card.body.as_deref().unwrap_or("");
        let text = render(body, |name| card.samples.get(name).map(String::as_str));
        lines.push(format!("card {}: {text}", at + 1));
        lines.extend(card.buttons.iter().map(|button| format!("    [ {} ]", button.text)));
    }
    for button in &draft.buttons {
        let label = match (button.kind, button.text.is_empty()) {
            (ButtonKind::CopyCode, _) => "Copy offer code",
            (kind, true) => kind.as_str(),
            (_, false) => &button.text,
        };
        lines.push(format!("[ {label} ]"));
    }
    lines
}

pub async fn submit(config: &Config, paths: &[PathBuf], yes: bool) -> Result<Answer> {
    let found = Rules::of(config).read(paths)?;
    let mut answer = Answer::from_bool(found.bad.is_empty());
    for bad in &found.bad {
        println!("{}", shown(&bad.to_string()));
    }
    let account = Account::of(config)?;
    let at_meta = account.templates(None).await?;
    for (at, Written { draft, path }) in found.written.iter().enumerate() {
        let label = format!("{} ({})", draft.name, draft.language);
        let errors = found.errors_of(at);
        if errors > 0 {
            let path = path.display();
            println!("{label}: not handed in, {errors} errors: `subah templates lint {path}`");
            answer = Answer::No;
            continue;
        }
        match step(draft, &at_meta) {
            Step::There { status } => println!("{label}: Meta has it, {status}"),
            Step::Differs { status, parts } => {
                let next = next_version(&draft.name, &at_meta);
                println!(
                    "{label}: not handed in: Meta has it with another {} ({status}), and a version is never edited; the change is {next}",
                    parts.join(", ")
                );
                answer = Answer::No;
            }
            Step::Unread { status, why } => {
                println!(
                    "{label}: not handed in: Meta has it ({status}), as nothing that is known here: {why}"
                );
                answer = Answer::No;
            }
            Step::Submit if needs_file(draft) => {
                println!(
                    "{label}: not handed in: its header's sample is a file; upload it in the WhatsApp Manager and write the handle (4::…) as header.sample"
                );
                answer = Answer::No;
            }
            Step::Submit if !yes => println!("{label}: would be handed in"),
            Step::Submit => {
                output::record(config, "did", &format!("templates submit {label}"))?;
                match account.submit(draft).await {
                    Ok(said) => {
                        println!("{label}: handed in, {} as {}", said.status, said.category);
                    }
                    Err(error) => {
                        println!("{label}: {:#}", anyhow::Error::from(error));
                        answer = Answer::No;
                    }
                }
            }
        }
    }
    if !yes {
        println!("nothing was changed; --yes does it");
    }
    Ok(answer)
}

/// Meta wants a handle of an upload, not a path.
fn needs_file(draft: &Draft) -> bool {
    let headers = draft.header.iter().chain(draft.cards.iter().flat_map(|card| &card.header));
    let handle = |sample: &str| sample.starts_with("4:");
    headers.filter(|h| h.format.has_file()).any(|h| !h.sample.as_deref().is_some_and(handle))
}

/// A name that nobody has yet.
fn next_version(name: &str, at_meta: &[cloud_api::management::AtMeta]) -> String {
    let family = family_of(name).0;
    let versions = at_meta.iter().map(|at| family_of(&at.name));
    let last = versions.filter(|(of, _)| *of == family).filter_map(|(_, version)| version).max();
    files::name_of(family, last.unwrap_or(1) + 1)
}

pub async fn compare(config: &Config, paths: &[PathBuf], format: Format) -> Result<Answer> {
    let found = Rules::of(config).read(paths)?;
    let at_meta = Account::of(config)?.templates(None).await?;
    let mut answer = Answer::from_bool(found.bad.is_empty());
    for bad in &found.bad {
        output::hint(&bad.to_string());
    }
    let mut rows = Vec::new();
    for Written { draft, .. } in &found.written {
        let (said, status) = match step(draft, &at_meta) {
            Step::Submit => ("not at Meta".to_owned(), String::new()),
            Step::There { status } => ("the same".to_owned(), status),
            Step::Differs { status, parts } => (format!("other {}", parts.join(", ")), status),
            Step::Unread { status, why } => (format!("not known: {why}"), status),
        };
        if said != "the same" {
            answer = Answer::No;
        }
        rows.push(vec![draft.name.clone(), draft.language.clone(), status, said]);
    }
    output::rows(format, &["name", "language", "status", "beside Meta's"], &rows)?;
    Ok(answer)
}

pub async fn pull(
    config: &Config,
    dir: Option<&Path>,
    name: Option<&str>,
    yes: bool,
) -> Result<Answer> {
    let dir = dir.unwrap_or(&config.drafts.dir);
    let mut answer = Answer::Yes;
    let found = Account::of(config)?.templates(name).await?;
    if found.is_empty() {
        println!("Meta has no such template");
        return Ok(Answer::No);
    }
    for at in found {
        let label = format!("{} ({})", at.name, at.language);
        let written = at.draft.map_err(|why| why.to_string()).and_then(|draft| {
            files::text_of(&draft).map(|text| (draft, text)).map_err(|why| why.to_string())
        });
        let (draft, text) = match written {
            Ok(written) => written,
            Err(why) => {
                println!("{label}: not written: {}", shown(&why));
                answer = Answer::No;
                continue;
            }
        };
        let path = files::path_of(dir, &draft);
        let there = files::read(std::slice::from_ref(&path)).0.pop();
        let same = there.as_ref().is_some_and(|there| {
            catalogue::submission::differences(&there.draft, &draft).is_empty()
        });
        if same {
            println!("{label}: {} says the same", path.display());
        } else if path.exists() && !yes {
            println!(
                "{label}: {} differs, and stays; --yes puts Meta's in its place",
                path.display()
            );
            answer = Answer::No;
        } else {
            let folder = path.parent().unwrap_or(dir);
            let doing = || format!("write {}", path.display());
            std::fs::create_dir_all(folder).with_context(doing)?;
            std::fs::write(&path, text).with_context(doing)?;
            println!("{label}: written to {}", path.display());
        }
    }
    Ok(answer)
}

//! Drafts of templates as files: reviewed, shown, handed in, held beside what Meta has.

use std::path::{Path, PathBuf};

use catalogue::files::{self, Written};
use catalogue::submission::{Step, needs_file, next_version, step};
use cloud_api::management::AtMeta;
use config::{Config, Drafts};
use templates::draft::{ButtonKind, Draft, DraftCategory, DraftHeaderFormat, render};
use templates::lint::Severity;
use templates::review::{Remark, review, together};

use super::account::Account;
use crate::Mode;
use crate::did;
use crate::error::{DeskError, Doing, Result};
use crate::table::Listing;
use crate::told::{Answer, Told};

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
    /// # Errors
    /// When there is a configuration, and it is no good.
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
            return Err(DeskError::WrongUse(format!(
                "there is no {}: expected drafts there, as FAMILY/vN/LANGUAGE.toml",
                missing.display()
            )));
        }
        let (written, bad) = files::read(paths);
        if written.is_empty() && bad.is_empty() {
            return Err(DeskError::WrongUse(format!(
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

/// What is held against drafts, a row each; files that are no drafts among them.
///
/// # Errors
/// [`DeskError::WrongUse`] when there is nothing to look at.
pub fn lint(rules: &Rules, paths: &[PathBuf]) -> Result<Listing> {
    let found = rules.read(paths)?;
    let mut listing = Listing::new(&["severity", "rule", "file", "place", "reason"]);
    let rows = &mut listing.table.rows;
    for bad in &found.bad {
        let file = bad.path.display().to_string();
        rows.push(["error", "file", &file, "", &bad.why].map(str::to_owned).to_vec());
    }
    for (at, remark) in &found.remarks {
        let file = found.written[*at].path.display().to_string();
        let Remark { rule, severity, place, reason } = remark;
        rows.push([severity.as_str(), rule, &file, place, reason].map(str::to_owned).to_vec());
    }
    let errors = rows.iter().filter(|row| row[0] == "error").count();
    let (drafts, warnings) = (found.written.len(), rows.len() - errors);
    listing.hints.push(format!("{drafts} drafts: {errors} errors, {warnings} warnings"));
    listing.answer = Answer::from_bool(found.is_clean());
    Ok(listing)
}

/// A draft as a phone shows it, with its samples.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bubble {
    /// Name, language, category.
    pub title: String,
    pub lines: Vec<String>,
}

/// Drafts as a phone shows them; what is said of files that are no drafts comes with them.
///
/// # Errors
/// [`DeskError::WrongUse`] when there is nothing to look at.
pub fn preview(rules: &Rules, paths: &[PathBuf]) -> Result<(Told, Vec<Bubble>)> {
    let found = rules.read(paths)?;
    let mut told = Told::default().with(Answer::from_bool(found.bad.is_empty()));
    found.bad.iter().for_each(|bad| told.say(bad.to_string()));
    let bubble = |Written { draft, .. }: &Written| Bubble {
        title: format!("{} ({}), {}", draft.name, draft.language, draft.category.as_str()),
        lines: bubble(draft),
    };
    Ok((told, found.written.iter().map(bubble).collect()))
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

/// Hands in what Meta does not have and nothing is held against.
///
/// # Errors
/// When there is nothing to hand in, Meta does not answer, or an act cannot be noted.
pub async fn submit(config: &Config, paths: &[PathBuf], mode: Mode) -> Result<Told> {
    let found = Rules::of(config).read(paths)?;
    let mut told = Told::default().with(Answer::from_bool(found.bad.is_empty()));
    found.bad.iter().for_each(|bad| told.say(bad.to_string()));
    let account = Account::of(config)?;
    let at_meta = account.templates(None).await?;
    for (at, Written { draft, path }) in found.written.iter().enumerate() {
        let label = format!("{} ({})", draft.name, draft.language);
        let said = match may_submit(draft, path, found.errors_of(at), &at_meta) {
            Stand::Stays(why) => Ok(why),
            Stand::Refused(why) => Err(format!("not handed in{why}")),
            Stand::Goes if mode == Mode::DryRun => Ok("would be handed in".to_owned()),
            Stand::Goes => {
                did::note(config, &format!("templates submit {label}"))?;
                let submitted = account.submit(draft).await;
                submitted
                    .map(|said| format!("handed in, {} as {}", said.status, said.category))
                    .map_err(|error| error.chain())
            }
        };
        let (Ok(words) | Err(words)) = &said;
        told.say(format!("{label}: {words}"));
        told.answer = told.answer.and(Answer::from_bool(said.is_ok()));
    }
    if mode == Mode::DryRun {
        told.say("nothing was changed; --yes does it");
    }
    Ok(told)
}

/// How a draft stands beside the account.
enum Stand {
    Goes,
    /// There is nothing to hand in.
    Stays(String),
    Refused(String),
}

fn may_submit(draft: &Draft, path: &Path, errors: usize, at_meta: &[AtMeta]) -> Stand {
    if errors > 0 {
        let path = path.display();
        return Stand::Refused(format!(", {errors} errors: `subah templates lint {path}`"));
    }
    match step(draft, at_meta) {
        Step::There { status } => Stand::Stays(format!("Meta has it, {status}")),
        Step::Differs { status, parts } => Stand::Refused(format!(
            ": Meta has it with another {} ({status}), and a version is never edited; the change is {}",
            parts.join(", "),
            next_version(&draft.name, at_meta)
        )),
        Step::Unread { status, why } => Stand::Refused(format!(
            ": Meta has it ({status}), as nothing that is known here: {why}"
        )),
        Step::Submit if needs_file(draft) => Stand::Refused(
            ": its header's sample is a file; upload it in the WhatsApp Manager and write the handle (4::…) as header.sample"
                .to_owned(),
        ),
        Step::Submit => Stand::Goes,
    }
}

/// Drafts beside what Meta has under their names.
///
/// # Errors
/// When there is nothing to compare, or Meta does not answer.
pub async fn compare(config: &Config, paths: &[PathBuf]) -> Result<Listing> {
    let found = Rules::of(config).read(paths)?;
    let at_meta = Account::of(config)?.templates(None).await?;
    let mut listing = Listing::new(&["name", "language", "status", "beside Meta's"]);
    listing.answer = Answer::from_bool(found.bad.is_empty());
    listing.hints = found.bad.iter().map(ToString::to_string).collect();
    for Written { draft, .. } in &found.written {
        let (said, status) = match step(draft, &at_meta) {
            Step::Submit => ("not at Meta".to_owned(), String::new()),
            Step::There { status } => ("the same".to_owned(), status),
            Step::Differs { status, parts } => (format!("other {}", parts.join(", ")), status),
            Step::Unread { status, why } => (format!("not known: {why}"), status),
        };
        if said != "the same" {
            listing.answer = Answer::No;
        }
        listing.table.rows.push(vec![draft.name.clone(), draft.language.clone(), status, said]);
    }
    Ok(listing)
}

/// Writes what Meta has as files; one that is there and says something else stays without a yes.
///
/// # Errors
/// When Meta does not answer, or a file cannot be written.
pub async fn pull(
    config: &Config,
    dir: Option<&Path>,
    name: Option<&str>,
    mode: Mode,
) -> Result<Told> {
    let dir = dir.unwrap_or(&config.drafts.dir);
    let mut told = Told::default();
    let found = Account::of(config)?.templates(name).await?;
    if found.is_empty() {
        return Ok(Told::no("Meta has no such template"));
    }
    for at in found {
        let label = format!("{} ({})", at.name, at.language);
        let written = at.draft.map_err(|why| why.to_string()).and_then(|draft| {
            files::text_of(&draft).map(|text| (draft, text)).map_err(|why| why.to_string())
        });
        let (draft, text) = match written {
            Ok(written) => written,
            Err(why) => {
                told.say(format!("{label}: not written: {}", why));
                told.answer = Answer::No;
                continue;
            }
        };
        let path = files::path_of(dir, &draft);
        let there = files::read(std::slice::from_ref(&path)).0.pop();
        let same = there.as_ref().is_some_and(|there| {
            catalogue::submission::differences(&there.draft, &draft).is_empty()
        });
        if same {
            told.say(format!("{label}: {} says the same", path.display()));
        } else if path.exists() && mode == Mode::DryRun {
            told.say(format!(
                "{label}: {} differs, and stays; --yes puts Meta's in its place",
                path.display()
            ));
            told.answer = Answer::No;
        } else {
            let folder = path.parent().unwrap_or(dir);
            let doing = || format!("write {}", path.display());
            std::fs::create_dir_all(folder).doing(doing)?;
            std::fs::write(&path, text).doing(doing)?;
            told.say(format!("{label}: written to {}", path.display()));
        }
    }
    Ok(told)
}

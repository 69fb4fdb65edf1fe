//! `templates list|substitute|restore|lint|preview|submit|compare|doctor|pull`.

use std::path::PathBuf;

use anyhow::Result;
use config::Config;
use desk::templates::{self, Rules};
use desk::{Answer, Mode};

use crate::cli::{Format, TemplatesCommand as Command};
use crate::output::{self, listing, told};

/// `find` loads the configuration; drafts are reviewed without one.
pub async fn run(
    file: &Option<PathBuf>,
    find: impl FnOnce() -> Result<Config>,
    command: &Command,
) -> Result<Answer> {
    match command {
        Command::Lint { paths, format } => {
            lint(&Rules::find(file.as_deref())?, paths, format.format)
        }
        Command::Preview { paths } => preview(&Rules::find(file.as_deref())?, paths),
        Command::List { format } => listing(format.format, &templates::list(&find()?).await?),
        Command::Compare { paths, format } => {
            listing(format.format, &templates::compare(&find()?, paths).await?)
        }
        Command::Doctor { name, format } => {
            listing(format.format, &templates::doctor(&find()?, name.as_deref()).await?)
        }
        Command::Substitute { live, language, reason, yes } => {
            let mode = Mode::of_yes(*yes);
            Ok(told(templates::substitute(&find()?, live, language, reason, mode).await?))
        }
        Command::Restore { language } => Ok(told(templates::restore(&find()?, language).await?)),
        Command::Submit { paths, yes } => {
            Ok(told(templates::submit(&find()?, paths, Mode::of_yes(*yes)).await?))
        }
        Command::Pull { dir, name, yes } => {
            let (dir, name) = (dir.as_deref(), name.as_deref());
            Ok(told(templates::pull(&find()?, dir, name, Mode::of_yes(*yes)).await?))
        }
    }
}

/// Nothing to say is no empty table for a person.
fn lint(rules: &Rules, paths: &[PathBuf], format: Format) -> Result<Answer> {
    let found = templates::lint(rules, paths)?;
    if found.table.rows.is_empty() && format == Format::Table {
        found.hints.iter().for_each(|hint| output::hint(hint));
        return Ok(found.answer);
    }
    listing(format, &found)
}

fn preview(rules: &Rules, paths: &[PathBuf]) -> Result<Answer> {
    let (said, bubbles) = templates::preview(rules, paths)?;
    let answer = told(said);
    for bubble in bubbles {
        println!("{}", bubble.title);
        bubble.lines.iter().for_each(|line| println!("  │ {}", output::shown(line)));
        println!();
    }
    Ok(answer)
}

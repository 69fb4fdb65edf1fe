//! Says what an import found: on the terminal a few lines, in a file all of them.

use std::io::Write;
use std::path::{Path, PathBuf};

use config::Config;
use scheduler::intake::Findings;

use crate::error::{DeskError, Doing, Result};
use crate::terminal::inert;

/// How many are shown before the file has to be opened.
const SHOWN: usize = 10;

/// What an import says while it is made: also when nothing comes of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Said {
    /// Of single rows, and beside the answer.
    pub hints: Vec<String>,
    pub lines: Vec<String>,
}

impl Said {
    pub fn line(&mut self, line: impl Into<String>) {
        self.lines.push(line.into());
    }

    /// The first few of a kind.
    pub fn some(&mut self, kind: &str, lines: impl ExactSizeIterator<Item = String>) {
        let n = lines.len();
        self.hints.extend(lines.take(SHOWN).map(|line| format!("{kind}: {line}")));
        if n > SHOWN {
            self.hints.push(format!("… and {} more", n - SHOWN));
        }
    }
}

/// Says what was found; with `strict`, one refused row refuses all.
///
/// # Errors
/// When nothing may be imported: by `strict`, or because no row is good.
pub fn judge(
    config: &Config,
    import: &Path,
    found: &Findings,
    strict: bool,
    said: &mut Said,
) -> Result<()> {
    said.hints.extend(found.notes.0.iter().map(ToString::to_string));
    said.line(found.lines.to_string());
    let nothing = |why: String| Err(DeskError::Refused(format!("nothing was imported: {why}")));
    if !found.lines.add_up() {
        return nothing(
            "not every line of the file is accounted for, which is a defect of subah".to_owned(),
        );
    }
    said.some("refused", found.refused.iter().map(ToString::to_string));
    said.some("warning", found.warnings.iter().map(ToString::to_string));
    let (n, warned) = (found.refused.len(), found.warnings.len());
    if n + warned > 0 {
        let listed = write(config, import, found)?;
        let listed = listed.display();
        said.hints
            .push(format!("{n} rows were refused, {warned} warned about; listed in {listed}"));
    }
    if strict && n > 0 {
        return nothing(format!("{n} rows are bad and --strict was given"));
    }
    if n > 0 && found.lines.accepted == 0 {
        return nothing("no row of the file is good".to_owned());
    }
    Ok(())
}

/// Beside the import, or below the state folder when that cannot be written.
fn write(config: &Config, import: &Path, found: &Findings) -> Result<PathBuf> {
    let name = import.file_name().filter(|_| import != Path::new("-"));
    let name = name.map_or("stdin".into(), |name| name.to_string_lossy().into_owned());
    let name = format!("{name}.errors.csv");
    let beside = import.is_file().then(|| import.parent()).flatten();
    let beside = beside.map(|dir| if dir.as_os_str().is_empty() { Path::new(".") } else { dir });
    if let Some(dir) = beside
        && let Ok(path) = write_into(dir, &name, found)
    {
        return Ok(path);
    }
    let dir = config.state_dir.join("errors");
    std::fs::create_dir_all(&dir).doing(|| format!("make {}", dir.display()))?;
    write_into(&dir, &name, found).doing(|| format!("write {}", dir.join(&name).display()))
}

/// Written aside and moved into place: a link of that name is replaced, never followed.
fn write_into(dir: &Path, name: &str, found: &Findings) -> std::io::Result<PathBuf> {
    let path = dir.join(name);
    let mut file = tempfile::Builder::new().prefix(".errors-").tempfile_in(dir)?;
    let mut csv = csv::Writer::from_writer(&mut file);
    csv.write_record(["line", "reason", "kind", "rule"])?;
    for row in &found.refused {
        csv.write_record([&row.line.to_string(), &inert(&row.reason), "refused", ""])?;
    }
    for row in &found.warnings {
        csv.write_record([&row.line.to_string(), &inert(&row.text), "warning", row.rule])?;
    }
    csv.flush()?;
    drop(csv);
    file.flush()?;
    file.persist(&path)?;
    Ok(path)
}

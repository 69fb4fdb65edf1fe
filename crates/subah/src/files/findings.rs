//! Says what an import found: on the terminal a few lines, in a file all of them.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use config::Config;
use scheduler::intake::Findings;

/// How many are shown before the file has to be opened.
const SHOWN: usize = 10;

/// Says what was found; with `strict`, one refused row refuses all.
///
/// # Errors
/// When nothing may be imported: by `strict`, or because no row is good.
pub fn judge(config: &Config, import: &Path, found: &Findings, strict: bool) -> Result<()> {
    for note in &found.notes.0 {
        eprintln!("{note}");
    }
    println!("{}", found.lines);
    if !found.lines.add_up() {
        bail!(
            "nothing was imported: not every line of the file is accounted for, which is a defect of subah"
        );
    }
    say("refused", found.refused.iter().map(ToString::to_string));
    say("warning", found.warnings.iter().map(ToString::to_string));
    let n = found.refused.len();
    if n + found.warnings.len() > 0 {
        let listed = write(config, import, found)?;
        eprintln!(
            "{n} rows were refused, {} warned about; listed in {}",
            found.warnings.len(),
            listed.display()
        );
    }
    if strict && n > 0 {
        bail!("nothing was imported: {n} rows are bad and --strict was given");
    }
    if n > 0 && found.lines.accepted == 0 {
        bail!("nothing was imported: no row of the file is good");
    }
    Ok(())
}

/// The first few on standard error.
pub fn say(kind: &str, lines: impl ExactSizeIterator<Item = String>) {
    let n = lines.len();
    for line in lines.take(SHOWN) {
        eprintln!("{kind}: {}", crate::terminal::shown(&line));
    }
    if n > SHOWN {
        eprintln!("… and {} more", n - SHOWN);
    }
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
    std::fs::create_dir_all(&dir).with_context(|| format!("make {}", dir.display()))?;
    write_into(&dir, &name, found).with_context(|| format!("write {}", dir.join(&name).display()))
}

/// Written aside and moved into place: a link of that name is replaced, never followed.
fn write_into(dir: &Path, name: &str, found: &Findings) -> Result<PathBuf> {
    let path = dir.join(name);
    let mut file = tempfile::Builder::new().prefix(".errors-").tempfile_in(dir)?;
    let mut csv = csv::Writer::from_writer(&mut file);
    csv.write_record(["line", "reason", "kind", "rule"])?;
    let inert = crate::terminal::inert;
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

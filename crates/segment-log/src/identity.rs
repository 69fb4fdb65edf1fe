//! A name that a log's folder gets once and keeps.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use rand::TryRng;
use rand::rngs::SysRng;

const FILE: &str = "identity";

/// Reads the folder's name, or gives it one. The caller holds the folder's lock.
pub fn of(dir: &Path) -> std::io::Result<String> {
    let path = dir.join(FILE);
    match std::fs::read_to_string(&path) {
        Ok(text) if !text.trim().is_empty() => return Ok(text.trim().to_owned()),
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {} // none yet, or a crash came before its bytes did
    }
    let number = SysRng.try_next_u64().map_err(std::io::Error::other)?;
    let name = format!("{number:016x}");
    let mut file = File::create(&path)?;
    writeln!(file, "{name}")?;
    file.sync_data()?;
    File::open(dir)?.sync_all()?;
    Ok(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_keeps_its_name_and_another_has_another() {
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let name = of(one.path()).unwrap();
        assert_eq!(of(one.path()).unwrap(), name);
        assert_ne!(of(two.path()).unwrap(), name);
        std::fs::write(one.path().join(FILE), "").unwrap();
        assert_eq!(of(one.path()).unwrap().len(), 16, "a torn one is replaced");
    }
}

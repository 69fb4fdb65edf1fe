//! Small files that are replaced as a whole.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use crate::Sync;

/// Puts a file in its place: whoever reads finds the old one or the new one, never a part, also
/// while several processes write it at once; the latest counts. Only its owner can read it.
/// `Sync::No` where losing the latest one to a power cut costs nothing but work.
///
/// # Errors
/// When the folder cannot be written, or `write` fails; the old file stands then.
pub fn put(
    path: &Path,
    sync: Sync,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> io::Result<()> {
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // A name of its own, so that two writers never share a half-written file.
    let file = tempfile::Builder::new().prefix(".put-").suffix(".tmp").tempfile_in(dir)?;
    let mut out = BufWriter::new(file);
    write(&mut out)?;
    let file = out.into_inner().map_err(io::IntoInnerError::into_error)?;
    if sync == Sync::Yes {
        file.as_file().sync_all()?;
    }
    file.persist(path).map_err(|error| error.error)?;
    if sync == Sync::Yes {
        File::open(dir)?.sync_all()?; // the name, too
    }
    Ok(())
}

/// [`put`] of bytes that are at hand.
///
/// # Errors
/// As [`put`].
pub fn put_bytes(path: &Path, sync: Sync, bytes: &[u8]) -> io::Result<()> {
    put(path, sync, |out| out.write_all(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_writers_at_once_leave_one_whole_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("note.json");
        let text = |n: usize| format!("{n}").repeat(10_000);
        std::thread::scope(|scope| {
            for n in 0..8 {
                let path = &path;
                scope.spawn(move || {
                    for _ in 0..20 {
                        put_bytes(path, Sync::No, text(n).as_bytes()).unwrap();
                        let found = std::fs::read_to_string(path).unwrap();
                        assert!((0..8).any(|n| found == text(n)), "a part of one");
                    }
                });
            }
        });
        let failed = put(&path, Sync::Yes, |out| {
            out.write_all(b"half")?;
            Err(io::Error::other("a full disk"))
        });
        assert!(failed.is_err() && std::fs::read(&path).unwrap().len() == 10_000);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "nothing is left over");
    }
}

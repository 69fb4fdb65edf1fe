//! Media that content names: files of the import's own folder, links, ids.
//!
//! Invariant: content cannot name files of the host: a path stays inside the import's
//! folder, follows no links, and is a file that Meta takes.

use std::path::{Component, Path, PathBuf};

use cloud_api::media::{check_file, check_link};
use scheduler::intake::Content;
use templates::{Media, MediaKind};

use crate::error::{Doing, Result};
use crate::terminal::shown;

pub struct MediaDesk {
    /// Without links in it.
    home: PathBuf,
    /// Of the template's header.
    kind: Option<MediaKind>,
}

impl MediaDesk {
    /// # Errors
    /// When the folder of the import is not there.
    pub fn new(home: &Path, kind: Option<MediaKind>) -> Result<Self> {
        let found = home.canonicalize();
        let home = found.doing(|| format!("find the folder {}", home.display()))?;
        Ok(MediaDesk { home, kind })
    }

    /// Makes a path whole, and judges what is named.
    ///
    /// # Errors
    /// Why Meta would not take it, or why it may not be sent.
    pub fn settle(&self, content: &mut Content) -> std::result::Result<(), String> {
        if let Some(name) = &content.filename
            && !is_plain_name(name)
        {
            return Err(
                "filename is not a plain name: expected one without / and signs that nobody sees"
                    .to_owned(),
            );
        }
        match &mut content.media {
            Some(Media::Path(path)) => {
                let whole = self.place(path)?;
                if let Some(kind) = self.kind {
                    check_file(kind, &whole).map_err(|bad| without_path(&bad))?;
                }
                *path = whole.display().to_string();
            }
            Some(Media::Link(link)) => {
                check_link(link).map_err(|why| format!("the media link {why}"))?
            }
            Some(Media::Id(id)) if id.is_empty() || !id.bytes().all(|b| b.is_ascii_digit()) => {
                return Err("media_id is not an id of Meta's: expected digits".to_owned());
            }
            Some(Media::Id(_))
                if self.kind == Some(MediaKind::Document) && content.filename.is_none() =>
            {
                return Err("a document needs a filename: it is shown on the phone".to_owned());
            }
            Some(Media::Id(_) | Media::Asset(_)) | None => {}
        }
        Ok(())
    }

    fn place(&self, path: &str) -> std::result::Result<PathBuf, String> {
        let path = Path::new(path);
        let plain =
            path.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
        if !plain {
            return Err("the media file is outside the import's folder: expected a path below it"
                .to_owned());
        }
        let mut whole = self.home.clone();
        for part in path.components() {
            whole.push(part);
            let seen = std::fs::symlink_metadata(&whole)
                .map_err(|error| format!("the media file cannot be read: {}", error.kind()))?;
            if seen.is_symlink() {
                return Err(
                    "the media file is a link: put the file itself into the import's folder"
                        .to_owned(),
                );
            }
        }
        if !whole.is_file() {
            return Err("the media file is no file".to_owned());
        }
        Ok(whole)
    }
}

/// What is wrong with a file; the line says which one.
fn without_path(bad: &cloud_api::CallError) -> String {
    match bad {
        cloud_api::CallError::Media { why, .. } => format!("the media file: {why}"),
        cloud_api::CallError::File { source, .. } => {
            format!("the media file cannot be read: {}", source.kind())
        }
        other => other.to_string(),
    }
}

fn is_plain_name(name: &str) -> bool {
    !name.is_empty()
        && name.chars().count() <= 240
        && !name.contains(['/', '\\'])
        && name != ".."
        && shown(name) == name
}

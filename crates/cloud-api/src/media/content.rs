//! Judges a file by what is in it: a name says little, and Meta looks inside.
//!
//! Source: Meta, "Media": JPEG and PNG with 8 bits, RGB or RGBA; MP4 and 3GPP; 2026.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

/// Enough for every signature and for a PNG's head.
const HEAD_BYTES: usize = 64;
/// A JPEG may carry a tail behind its end.
const TAIL_BYTES: u64 = 64 * 1024;

/// Why a file is not of its type, or not whole; `None` when nothing speaks against it.
///
/// # Errors
/// When it cannot be read.
pub fn judge(mime: &str, path: &Path) -> std::io::Result<Option<String>> {
    let mut file = File::open(path)?;
    let mut head = Vec::with_capacity(HEAD_BYTES);
    (&mut file).take(HEAD_BYTES as u64).read_to_end(&mut head)?;
    let found = kind(&head);
    if !fits(mime, found) {
        return Ok(Some(format!(
            "its first bytes say {found}, its name says {mime}: renaming does not convert a file"
        )));
    }
    let why = match mime {
        "image/png" => png(&head, &tail(&mut file)?),
        "image/jpeg" => jpeg(&tail(&mut file)?),
        "application/pdf" => pdf(&tail(&mut file)?),
        _ => None,
    };
    if why.is_some() || !mime.starts_with("image/") {
        return Ok(why);
    }
    match imagesize::size(path) {
        Ok(size) if size.width > 0 && size.height > 0 => Ok(None),
        Ok(_) => Ok(Some("a picture without width or height".to_owned())),
        Err(_) => Ok(Some("its dimensions cannot be read: the picture is damaged".to_owned())),
    }
}

fn tail(file: &mut File) -> std::io::Result<Vec<u8>> {
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(TAIL_BYTES)))?;
    let mut tail = Vec::new();
    file.read_to_end(&mut tail)?;
    Ok(tail)
}

fn kind(head: &[u8]) -> &'static str {
    let starts = |signature: &[u8]| head.starts_with(signature);
    let brand = head.get(8..12).unwrap_or_default();
    match head {
        _ if starts(b"\xff\xd8\xff") => "image/jpeg",
        _ if starts(b"\x89PNG\r\n\x1a\n") => "image/png",
        _ if starts(b"GIF8") => "image/gif",
        _ if starts(b"RIFF") && brand == b"WEBP" => "image/webp",
        _ if starts(b"BM") => "image/bmp",
        _ if starts(b"II*\0") || starts(b"MM\0*") => "image/tiff",
        _ if head.get(4..8) == Some(b"ftyp")
            && (brand.starts_with(b"hei") || brand.starts_with(b"mif")) =>
        {
            "image/heic"
        }
        _ if head.get(4..8) == Some(b"ftyp") && brand.starts_with(b"avi") => "image/avif",
        _ if head.get(4..8) == Some(b"ftyp") && brand.starts_with(b"qt") => "video/quicktime",
        _ if head.get(4..8) == Some(b"ftyp") && brand.starts_with(b"3g") => "video/3gpp",
        _ if head.get(4..8) == Some(b"ftyp") => "video/mp4",
        _ if starts(b"%PDF-") => "application/pdf",
        _ if starts(b"PK\x03\x04") => "a ZIP archive",
        _ if head.trim_ascii_start().starts_with(b"<") => "a web page or XML",
        _ if head.iter().all(|b| *b != 0) => "text",
        _ => "something unknown",
    }
}

fn fits(mime: &str, found: &str) -> bool {
    match mime {
        "text/plain" => matches!(found, "text" | "a web page or XML"),
        _ if mime.starts_with("application/vnd.openxml") => found == "a ZIP archive",
        "video/3gpp" | "video/mp4" => matches!(found, "video/mp4" | "video/3gpp"),
        _ => mime == found,
    }
}

/// Bit depth and colour stand at fixed places; a whole file ends with its own mark.
fn png(head: &[u8], tail: &[u8]) -> Option<String> {
    let (depth, colour) = (head.get(24).copied()?, head.get(25).copied()?);
    if depth != 8 || !matches!(colour, 2 | 6) {
        return Some("a PNG that is not 8-bit RGB or RGBA: save it as such, or as JPEG".to_owned());
    }
    let whole = tail.windows(4).rev().take(64).any(|mark| mark == b"IEND");
    (!whole).then(|| "the picture is cut off: upload or copy it again".to_owned())
}

fn jpeg(tail: &[u8]) -> Option<String> {
    let whole = tail.windows(2).any(|mark| mark == b"\xff\xd9");
    (!whole).then(|| "the picture is cut off: upload or copy it again".to_owned())
}

fn pdf(tail: &[u8]) -> Option<String> {
    let whole = tail.windows(5).any(|mark| mark == b"%%EOF");
    (!whole).then(|| "the document is cut off: copy it again".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A picture of one pixel.
    pub const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\x02\0\0\0\x90wS\xde\0\0\0\x0cIDATx\x9cc\xf8\xcf\xc0\0\0\x03\x01\x01\0\xc9\xfe\x92\xef\0\0\0\0IEND\xaeB`\x82";

    fn judged(name: &str, mime: &str, bytes: &[u8]) -> Option<String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        judge(mime, &path).unwrap()
    }

    #[test]
    fn a_file_is_judged_by_what_is_in_it() {
        assert_eq!(judged("a.png", "image/png", PNG), None);
        let grey = [&PNG[..25], b"\0", &PNG[26..]].concat();
        let cases: &[(&str, &[u8], &str)] = &[
            ("image/jpeg", b"RIFF\0\0\0\0WEBPVP8 ", "image/webp"),
            ("image/jpeg", b"<!DOCTYPE html><html>", "a web page"),
            ("image/jpeg", PNG, "image/png"),
            ("image/png", &PNG[..40], "cut off"),
            ("image/png", &grey, "8-bit RGB"),
            ("image/jpeg", b"\xff\xd8\xff\xe0\0\x10JFIF\0\x01", "cut off"),
            ("application/pdf", b"%PDF-1.7 1 0 obj", "cut off"),
            ("video/mp4", b"\0\0\0\x20ftypqt  ", "video/quicktime"),
        ];
        for (mime, bytes, want) in cases {
            let why = judged("x", mime, bytes).unwrap_or_default();
            assert!(why.contains(want), "{mime}: {why}");
        }
    }
}

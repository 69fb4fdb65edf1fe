//! Bytes of a file to text, and which encoding that assumed.
//!
//! Invariant: a damaged character becomes U+FFFD and stays one, so that whoever reads a
//! row refuses it by line; good rows are never read in another encoding because of it.

use std::borrow::Cow;

use encoding_rs::{Encoding, UTF_16BE, UTF_16LE, WINDOWS_1252};

/// Marks a character that could not be read.
pub const DAMAGED: char = char::REPLACEMENT_CHARACTER;

/// Says why a row with a damaged character is refused.
pub const WHY_DAMAGED: &str =
    "a character is damaged (not in the file's encoding): save the file as \"CSV UTF-8\"";

/// A file as text.
pub struct Text<'a> {
    pub text: Cow<'a, str>,
    pub encoding: &'static str,
    /// The last character is not whole: the file was cut.
    pub cut: bool,
}

/// By byte order mark; else UTF-8 when the file is valid, or holds any multi-byte character
/// of it; else UTF-16 when every other byte is zero; else Windows-1252.
pub fn decode(bytes: &[u8]) -> Text<'_> {
    if let Some((encoding, skip)) = Encoding::for_bom(bytes) {
        return decoded(encoding, &bytes[skip..]);
    }
    if let Ok(text) = std::str::from_utf8(bytes)
        && !bytes.contains(&0)
    {
        return Text { text: Cow::Borrowed(text), encoding: "UTF-8", cut: false };
    }
    if let Some(encoding) = utf_16(bytes) {
        return decoded(encoding, bytes);
    }
    let seen = survey(bytes);
    if seen.good || seen.bad == 0 {
        return decoded(encoding_rs::UTF_8, bytes);
    }
    let (text, _) = WINDOWS_1252.decode_without_bom_handling(bytes);
    // Bytes that stand for nothing in Windows-1252 come out as control signs.
    let holes = |c: char| ('\u{80}'..='\u{9f}').contains(&c);
    let text = if text.contains(holes) { text.replace(holes, "\u{fffd}").into() } else { text };
    Text { text, encoding: "Windows-1252", cut: false }
}

/// The same for JSON, which is UTF-8 when no byte order mark says otherwise.
pub fn decode_json(bytes: &[u8]) -> Text<'_> {
    let text = decode(bytes);
    if text.encoding == "Windows-1252" { decoded(encoding_rs::UTF_8, bytes) } else { text }
}

fn decoded<'a>(encoding: &'static Encoding, bytes: &'a [u8]) -> Text<'a> {
    let (text, damaged) = encoding.decode_without_bom_handling(bytes);
    let cut = damaged && text.ends_with(DAMAGED);
    Text { text, encoding: encoding.name(), cut }
}

/// What a file that is not valid UTF-8 holds of UTF-8.
#[derive(Default)]
struct Survey {
    /// A character of more than one byte.
    good: bool,
    /// Damage before the last character.
    bad: usize,
}

fn survey(bytes: &[u8]) -> Survey {
    let mut seen = Survey::default();
    let mut chunks = bytes.utf8_chunks().peekable();
    while let Some(chunk) = chunks.next() {
        seen.good |= !chunk.valid().is_ascii();
        // What ends with the file may be a character that was cut.
        let is_cut = chunks.peek().is_none()
            && std::str::from_utf8(chunk.invalid()).is_err_and(|e| e.error_len().is_none());
        seen.bad += usize::from(!chunk.invalid().is_empty() && !is_cut);
    }
    seen
}

/// ASCII in UTF-16 has a zero beside each letter.
fn utf_16(bytes: &[u8]) -> Option<&'static Encoding> {
    let head = &bytes[..bytes.len().min(4_096)];
    let zeros = |odd: usize| head.iter().skip(odd).step_by(2).filter(|b| **b == 0).count();
    let most = head.len() / 4;
    match (zeros(0), zeros(1)) {
        (0, little) if little > most => Some(UTF_16LE),
        (big, 0) if big > most => Some(UTF_16BE),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> (String, &'static str, bool) {
        let text = decode(bytes);
        (text.text.into_owned(), text.encoding, text.cut)
    }

    #[test]
    fn one_stray_byte_does_not_change_the_encoding_of_the_rest() {
        let mut bytes = "आशा\nविक्रम\nRao ".as_bytes().to_vec();
        bytes.extend(b"\x96 Sons\n");
        let (text, encoding, cut) = read(&bytes);
        assert_eq!(
            (text.as_str(), encoding, cut),
            ("आशा\nविक्रम\nRao \u{fffd} Sons\n", "UTF-8", false)
        );
    }

    #[test]
    fn encodings_are_told_apart() {
        assert_eq!(read(b"Zo\xeb,D\x92Souza\n"), ("Zoë,D’Souza\n".into(), "Windows-1252", false));
        assert_eq!(read(b"a\x81b\n").0, "a\u{fffd}b\n", "a hole of Windows-1252");
        assert_eq!(read(b"\xef\xbb\xbfid\n"), ("id\n".into(), "UTF-8", false));
        let utf16 =
            |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
        assert_eq!(read(&utf16("id,name\n")).0, "id,name\n");
        let big: Vec<u8> = "id,name\n".encode_utf16().flat_map(u16::to_be_bytes).collect();
        assert_eq!(read(&big).0, "id,name\n");
    }

    #[test]
    fn a_file_that_ends_inside_a_character_was_cut() {
        let whole = "a1,आशा".as_bytes();
        let (text, encoding, cut) = read(&whole[..whole.len() - 1]);
        assert!(text.ends_with(DAMAGED) && encoding == "UTF-8" && cut);
        let ascii = [b"a1,".as_slice(), &"आ".as_bytes()[..2]].concat();
        assert!(read(&ascii).2, "also when nothing else is beyond ASCII");
        let mut odd: Vec<u8> = vec![0xff, 0xfe];
        odd.extend("id".encode_utf16().flat_map(u16::to_le_bytes));
        odd.push(b'x');
        assert!(read(&odd).2, "half a unit of UTF-16");
    }
}

//! Quotes that do not fit: found, so that no row is swallowed in silence.
//!
//! A CSV reader takes whatever stands between two quotes for one cell, also when a person
//! forgot the second one and a hundred rows lie between.

/// What the quotes of one record look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quotes {
    Fit,
    /// The last cell is never closed.
    Open,
    /// Something stands between a closing quote and the separator.
    Trailing,
}

/// Walks over one record as it stands in the file.
pub fn judge(record: &str, delimiter: u8) -> Quotes {
    let bytes = record.as_bytes();
    let (mut at, mut judged) = (0, Quotes::Fit);
    while at < bytes.len() {
        // At the beginning of a cell.
        let end = |from: usize| {
            bytes[from..].iter().position(|b| *b == delimiter).map_or(bytes.len(), |n| from + n)
        };
        if bytes[at] != b'"' {
            at = end(at) + 1;
            continue;
        }
        let Some(closing) = closing(bytes, at + 1) else { return Quotes::Open };
        let next = end(closing + 1);
        let rest = &record[closing + 1..next];
        if !rest.trim_matches(['\r', '\n', ' ', '\t']).is_empty() {
            judged = Quotes::Trailing;
        }
        at = next + 1;
    }
    judged
}

/// The quote that ends a quoted cell; a doubled one does not.
fn closing(bytes: &[u8], mut at: usize) -> Option<usize> {
    loop {
        at += bytes.get(at..)?.iter().position(|b| *b == b'"')?;
        if bytes.get(at + 1) != Some(&b'"') {
            return Some(at);
        }
        at += 2;
    }
}

/// Physical lines, for LF, CRLF and CR, without their ends.
pub fn lines(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(text).filter(|text| !text.is_empty());
    std::iter::from_fn(move || {
        let text = rest?;
        let end = text.find(['\r', '\n']).unwrap_or(text.len());
        let after = text[end..].strip_prefix("\r\n").or(text.get(end + 1..)).unwrap_or("");
        rest = Some(after).filter(|after| !after.is_empty());
        Some(&text[..end])
    })
}

/// Whether a line inside a quoted cell is a row of its own, which `looks` decides from the
/// line's cells.
pub fn is_row(line: &str, delimiter: u8, looks: &dyn Fn(&[&str]) -> bool) -> bool {
    let cells: Vec<&str> =
        line.split(char::from(delimiter)).map(|cell| cell.trim().trim_matches('"')).collect();
    looks(&cells)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_are_judged_by_cell() {
        let cases = [
            ("a,b,c\n", Quotes::Fit),
            ("a,\"b, c\",d\r\n", Quotes::Fit),
            ("\"a \"\"b\"\"\",c", Quotes::Fit),
            ("a,b \"c\" d,e", Quotes::Fit),
            ("a,\"b\nc\",d\n", Quotes::Fit),
            ("\"a\" ,b", Quotes::Fit),
            ("a,\"b\nc,d\n", Quotes::Open),
            ("a,\"b\nc,\"d\",e\n", Quotes::Trailing),
            ("a,\"", Quotes::Open),
            ("", Quotes::Fit),
        ];
        for (record, want) in cases {
            assert_eq!(judge(record, b','), want, "{record:?}");
        }
    }

    #[test]
    fn lines_are_those_that_an_editor_shows() {
        assert_eq!(lines("a\r\nb\rc\n\nd").collect::<Vec<_>>(), ["a", "b", "c", "", "d"]);
        assert_eq!(lines("a\n").count(), 1);
        assert_eq!(lines("").count(), 0);
    }
}

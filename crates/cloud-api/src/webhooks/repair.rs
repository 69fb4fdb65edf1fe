//! Makes JSON of what is nearly JSON: signs that one sender in a million writes, and that
//! must not lose a batch of a thousand statuses.
//!
//! Mended: a byte order mark, invalid UTF-8, raw control signs inside texts, halves of
//! surrogate pairs, numbers too large for any type. What is broken otherwise stays broken.

/// The text with its oddities replaced; a whole text comes out as it went in.
pub fn mended(bytes: &[u8]) -> String {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let text = String::from_utf8_lossy(bytes);
    let mut out = String::with_capacity(text.len());
    let mut rest = text.as_ref();
    let mut inside = false;
    while let Some(c) = rest.chars().next() {
        let taken = match c {
            '"' => {
                inside = !inside;
                out.push('"');
                1
            }
            '\\' if inside => escape(rest, &mut out),
            c if inside && c.is_control() && (c as u32) < 0x20 => {
                out.push(' ');
                1
            }
            c if !inside && (c.is_ascii_digit() || c == '-') => number(rest, &mut out),
            c if !inside && c == '\0' => 1,
            c => {
                out.push(c);
                c.len_utf8()
            }
        };
        rest = &rest[taken..];
    }
    out
}

/// One escape sequence; half a surrogate pair becomes the sign for a damaged character.
fn escape(rest: &str, out: &mut String) -> usize {
    let unit = |at: usize| {
        let hex = rest.get(at..at + 6)?.strip_prefix("\\u")?;
        u32::from_str_radix(hex, 16).ok()
    };
    match unit(0) {
        Some(0xd800..=0xdbff) => match unit(6) {
            Some(0xdc00..=0xdfff) => copy(rest, 12, out),
            _ => damaged(out),
        },
        Some(0xdc00..=0xdfff) => damaged(out),
        Some(_) => copy(rest, 6, out),
        None if rest[1..].starts_with(['"', '\\', '/', 'b', 'f', 'n', 'r', 't']) => {
            copy(rest, 2, out)
        }
        // No escape that JSON knows: the backslash is meant as one.
        None => {
            out.push_str("\\\\");
            1
        }
    }
}

fn damaged(out: &mut String) -> usize {
    out.push_str("\\ufffd");
    6
}

fn copy(rest: &str, bytes: usize, out: &mut String) -> usize {
    out.push_str(&rest[..bytes]);
    bytes
}

/// A number; one that no type holds becomes `null`: nothing is known of it.
fn number(rest: &str, out: &mut String) -> usize {
    let end = rest.find(|c: char| !(c.is_ascii_digit() || "+-.eE".contains(c)));
    let end = end.unwrap_or(rest.len());
    let huge = rest[..end].parse::<f64>().is_ok_and(f64::is_infinite);
    out.push_str(if huge { "null" } else { &rest[..end] });
    end
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_whole_stays_and_what_is_odd_is_replaced() {
        let whole = r#"{"a":"x \"y\" \u00e9 \ud83d\ude00","n":[-1.5e3,0]}"#;
        assert_eq!(mended(whole.as_bytes()), whole);
        let cases: &[(&[u8], &str)] = &[
            (b"\xef\xbb\xbf{}", "{}"),
            (br#"{"a":"\ud83d"}"#, r#"{"a":"\ufffd"}"#),
            (br#"{"a":"\ude00\ud83d x"}"#, r#"{"a":"\ufffd\ufffd x"}"#),
            (b"{\"a\":\"b\nc\x01\"}", "{\"a\":\"b c \"}"),
            (b"{\"a\":\"\xff\"}", "{\"a\":\"\u{fffd}\"}"),
            (br#"{"a":1e999,"b":-1e999}"#, r#"{"a":null,"b":null}"#),
            (br#"{"a":"\x"}"#, r#"{"a":"\\x"}"#),
        ];
        for (odd, want) in cases {
            let got = mended(odd);
            assert_eq!(got, *want);
            assert!(serde_json::from_str::<serde_json::Value>(&got).is_ok(), "{got}");
        }
    }
}

//! What a text is made of: signs that a person cannot see, and names that are safe everywhere.

/// Whether a text is 1 to 64 lower-case letters, digits, `-` or `_`: safe in paths, keys and labels.
pub fn is_plain_name(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_".contains(c);
    (1..=64).contains(&text.len()) && text.chars().all(plain)
}

/// Joiners, marks of direction, soft hyphens, byte order marks.
pub fn is_unseen(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}'
        | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

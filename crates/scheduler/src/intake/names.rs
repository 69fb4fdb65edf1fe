//! What to call a person: the name of a cell, and the first name in it.

/// Titles that are not a name. Compared without dots, in lower case.
const TITLES: &[&str] = &[
    "mr",
    "mrs",
    "ms",
    "miss",
    "mx",
    "dr",
    "prof",
    "ca",
    "cs",
    "cma",
    "cfp",
    "cfa",
    "adv",
    "er",
    "smt",
    "shri",
    "sri",
    "shree",
    "shrimati",
    "kum",
    "kumari",
    "sh",
    "sir",
    "madam",
    "m/s",
    "capt",
    "col",
    "maj",
    "lt",
    "pt",
    "pandit",
    "late",
    "श्री",
    "श्रीमती",
    "सुश्री",
    "डॉ",
];

/// The first name: without titles and initials; of `Rao, Asha` the part behind the comma.
/// `None` when nothing in it is a name.
pub fn first_name(name: &str) -> Option<&str> {
    let name = match name.split_once(',') {
        Some((before, after)) if first_word(after).is_some() && !is_suffix(after) => {
            let _ = before;
            after
        }
        Some((before, _)) => before,
        None => name,
    };
    first_word(name)
}

fn first_word(name: &str) -> Option<&str> {
    let words = || name.split_whitespace().map(|word| word.trim_matches([',', ';', '(', ')', '"']));
    let word = words().find(|word| !is_title(word) && !is_initial(word));
    let letters = |word: &&str| word.chars().any(char::is_alphabetic);
    word.filter(letters)
}

fn is_title(word: &str) -> bool {
    let plain = word.trim_end_matches('.').to_lowercase();
    TITLES.contains(&plain.as_str())
}

/// `K.`, `K`, `K.S.`: letters that stand for names.
fn is_initial(word: &str) -> bool {
    let letters = word.chars().filter(|c| c.is_alphabetic()).count();
    let dotted = word.contains('.') && word.split('.').all(|part| part.chars().count() <= 1);
    let plain = word.is_ascii() && letters <= 1;
    plain || dotted || !word.chars().any(char::is_alphabetic)
}

/// `Rao, Jr.` and `Rao, MBA` have no first name behind the comma.
fn is_suffix(after: &str) -> bool {
    let plain = after.trim().trim_end_matches('.').to_lowercase();
    matches!(
        plain.as_str(),
        "jr" | "sr" | "ii" | "iii" | "phd" | "mba" | "ca" | "cfp" | "cfa" | "cs"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn titles_initials_and_commas_are_no_first_names() {
        let cases = [
            ("Asha Rao", Some("Asha")),
            ("Mr. Rajesh Kumar", Some("Rajesh")),
            ("Rao, Asha", Some("Asha")),
            ("Dr Asha Rao", Some("Asha")),
            ("K. S. Ramanathan", Some("Ramanathan")),
            ("K.S. Ramanathan", Some("Ramanathan")),
            ("CA Vikas Jain", Some("Vikas")),
            ("Smt. Sunita Devi", Some("Sunita")),
            ("Rao, Jr.", Some("Rao")),
            ("Asha, MBA", Some("Asha")),
            ("श्रीमती आशा राव", Some("आशा")),
            ("आशा", Some("आशा")),
            ("👨‍👩‍👧 Asha", Some("Asha")),
            ("Dr.", None),
            ("K.", None),
            ("  ", None),
            ("-", None),
        ];
        for (name, want) in cases {
            assert_eq!(first_name(name), want, "{name}");
        }
    }
}

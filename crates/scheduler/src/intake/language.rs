//! Languages as lists name them, to Meta's codes.
//! Source: Meta, "Supported languages" of message templates.

use domain::Language;

/// Meta's code, English and native names, and other codes.
const LANGUAGES: &[(&str, &[&str])] = &[
    ("hi", &["hindi", "hin", "हिन्दी", "हिंदी", "हिन्दि"]),
    ("en", &["english", "eng", "angrezi", "अंग्रेज़ी", "अंग्रेजी"]),
    ("mr", &["marathi", "mar", "मराठी"]),
    ("gu", &["gujarati", "guj", "ગુજરાતી"]),
    ("ta", &["tamil", "tam", "தமிழ்"]),
    ("te", &["telugu", "tel", "తెలుగు"]),
    ("kn", &["kannada", "kan", "ಕನ್ನಡ"]),
    ("ml", &["malayalam", "mal", "മലയാളം"]),
    ("bn", &["bengali", "bangla", "ben", "বাংলা"]),
    ("pa", &["punjabi", "panjabi", "pan", "ਪੰਜਾਬੀ"]),
    ("ur", &["urdu", "urd", "اردو"]),
    ("or", &["odia", "oriya", "ori", "ଓଡ଼ିଆ"]),
    ("as", &["assamese", "asm", "অসমীয়া"]),
    ("ne", &["nepali", "nep", "नेपाली"]),
    ("sa", &["sanskrit", "san", "संस्कृत"]),
    ("kok", &["konkani", "कोंकणी"]),
    ("fr", &["french", "fra", "fre", "français"]),
    ("de", &["german", "deu", "ger", "deutsch"]),
    ("es", &["spanish", "spa", "español"]),
    ("pt", &["portuguese", "por", "português"]),
    ("ar", &["arabic", "ara", "العربية"]),
    ("id", &["indonesian", "ind"]),
    ("si", &["sinhala", "sin"]),
];

/// Languages that Meta has by region; of all others the region says nothing.
const REGIONAL: &[&str] = &[
    "en_GB", "en_US", "es_AR", "es_ES", "es_MX", "fr_FR", "pt_BR", "pt_PT", "zh_CN", "zh_HK",
    "zh_TW",
];

/// `hi` for every way to say Hindi; `en_US` stays. Empty for an empty cell.
///
/// # Errors
/// When it is no language that is known by name, and no code.
pub fn normalise(text: &str) -> Result<String, String> {
    let plain: String = text.chars().filter(|c| !domain::text::is_unseen(*c)).collect();
    let plain = plain.trim().to_lowercase().replace(['-', ' '], "_");
    let name = plain.split('_').next().unwrap_or("");
    let base = LANGUAGES.iter().find(|(code, names)| {
        *code == name || names.contains(&plain.as_str()) || names.contains(&name)
    });
    let region = plain.split_once('_').map(|(_, region)| region.rsplit('_').next().unwrap_or(""));
    let code = match (base, region) {
        (None, _) if plain.is_empty() => return Ok(String::new()),
        (Some((base, _)), region) => regional(base, region).unwrap_or((*base).to_owned()),
        (None, region) if is_code(name) => regional(name, region).unwrap_or(name.to_owned()),
        (None, _) => return Err("language is none that is known: expected a code such as en, hi or en_US, or a name such as Hindi".to_owned()),
    };
    Ok(code)
}

fn regional(base: &str, region: Option<&str>) -> Option<String> {
    let code = format!("{base}_{}", region?.to_uppercase());
    REGIONAL.contains(&code.as_str()).then_some(code)
}

/// Two or three letters: ISO 639, whatever Meta has of it.
fn is_code(name: &str) -> bool {
    (2..=3).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_lowercase())
}

/// The translation that a recipient's language is served by: the same code, the language
/// without its region, or the only region there is. `None`: the default has to serve.
pub fn translation<'a>(language: &str, translations: &'a [Language]) -> Option<&'a Language> {
    let base = |code: &'_ str| code.split('_').next().unwrap_or("").to_owned();
    let exact = translations.iter().find(|code| **code == *language);
    let wanted = base(language);
    let plain = || translations.iter().find(|code| **code == *wanted);
    let mut kin = translations.iter().filter(|code| !wanted.is_empty() && base(code) == wanted);
    exact.or_else(plain).or_else(|| kin.next().filter(|_| kin.next().is_none()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_to_say_hindi_is_hi() {
        for text in
            ["hi", "Hindi", "hi_IN", "HI", "hi-in", "हिन्दी", "हिंदी", "hin", " hindi ", "hi_Deva_IN"]
        {
            assert_eq!(normalise(text).as_deref(), Ok("hi"), "{text}");
        }
        let cases = [
            ("", ""),
            ("english", "en"),
            ("en-us", "en_US"),
            ("en_IN", "en"),
            ("Marathi", "mr"),
            ("pt-br", "pt_BR"),
            ("xx", "xx"),
        ];
        for (text, want) in cases {
            assert_eq!(normalise(text).as_deref(), Ok(want), "{text}");
        }
        assert!(normalise("Klingon").is_err() && normalise("h1").is_err());
    }

    #[test]
    fn a_translation_serves_its_own_language_only() {
        let has =
            |codes: &[&str]| codes.iter().map(|code| Language::from(*code)).collect::<Vec<_>>();
        let find = |language: &str, codes: &[&str]| translation(language, &has(codes)).cloned();
        assert_eq!(find("hi", &["en", "hi"]).as_deref(), Some("hi"));
        assert_eq!(find("en_US", &["en", "hi"]).as_deref(), Some("en"));
        assert_eq!(find("en", &["en_US", "hi"]).as_deref(), Some("en_US"));
        assert_eq!(find("en", &["en_US", "en_GB"]), None);
        assert_eq!(find("", &["en", "hi"]), None);
    }
}

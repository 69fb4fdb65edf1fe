//! Phone numbers as spreadsheets hold them, to E.164.
//!
//! Invariant: a number that may be read in two ways is refused. Digits without `+` are
//! Indian mobiles, unless they are also a number elsewhere and no default country is set.
//! libphonenumber's metadata says what exists.

use std::str::FromStr;
use std::sync::atomic::{AtomicU8, Ordering};

use domain::Phone;
use domain::text::is_unseen;
use phonenumber::country::Id;
use phonenumber::metadata::{DATABASE, Descriptor};
use phonenumber::{Mode, PhoneNumber};

/// Why a text is no phone number. Never repeats the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadPhone {
    #[error(
        "phone was rounded by the spreadsheet (9.19877E+11): format the column as text and export again"
    )]
    Rounded,
    #[error("phone holds letters or signs that are no part of a number")]
    NotDigits,
    #[error("phone holds more than one number: keep one a row")]
    Several,
    #[error(
        "phone is not a number that exists: expected 10 digits from 6 to 9 for India, or + and a country code"
    )]
    Impossible,
    #[error("phone is a fixed line: WhatsApp needs a mobile number")]
    FixedLine,
    #[error("phone is a made-up number such as 9999999999 or 1234567890")]
    Dummy,
    #[error(
        "phone is a number in India and elsewhere too: write + and the country code, or set recipients.default_country"
    )]
    TwoCountries,
    #[error(
        "country code is none that exists: expected digits such as 91, or two letters such as IN"
    )]
    UnknownCode,
    #[error("phone has another country code than the column of country codes says")]
    OtherCode,
}

/// A country by its two letters, `IN`; numbers without a country code are read as its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Country(Id);

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a country: expected two letters such as IN")]
pub struct NotACountry;

impl Country {
    pub const INDIA: Country = Country(Id::IN);
}

impl FromStr for Country {
    type Err = NotACountry;
    fn from_str(text: &str) -> Result<Self, NotACountry> {
        text.trim().to_ascii_uppercase().parse().map(Country).map_err(|_| NotACountry)
    }
}

/// Reads a number. `code` is the cell of a column of country codes; `default` is the
/// country of numbers that have none.
///
/// # Errors
/// When digits are missing, lost, impossible or open to two readings.
pub fn parse(text: &str, code: Option<&str>, default: Option<Country>) -> Result<Phone, BadPhone> {
    let plain = plain(text)?;
    let text = match plain.strip_prefix("00") {
        Some(rest) => format!("+{rest}"),
        None => plain,
    };
    let code = code.map(str::trim).filter(|code| !code.is_empty());
    let e164 = match (code, text.starts_with('+')) {
        (Some(code), _) => with_code(&text, code)?,
        (None, true) => international(&text)?,
        (None, false) => national(&text, default)?,
    };
    if is_dummy(&e164) {
        return Err(BadPhone::Dummy);
    }
    Phone::try_new(e164).map_err(|_| BadPhone::Impossible)
}

/// Digits beside a column of country codes: a national number, or one with that code.
fn with_code(text: &str, code: &str) -> Result<String, BadPhone> {
    let wanted = calling_code(code)?;
    let e164 = if let Some(digits) = text.strip_prefix('+') {
        international(&format!("+{digits}"))?
    } else {
        let whole = international(&format!("+{text}")).ok();
        let whole = whole.filter(|e164| is_of(e164, wanted));
        let national = international(&format!("+{wanted}{}", trunk(text, wanted))).ok();
        match (whole, national) {
            (Some(a), Some(b)) if a != b => return Err(BadPhone::TwoCountries),
            (Some(e164), _) | (None, Some(e164)) => e164,
            (None, None) => return Err(BadPhone::Impossible),
        }
    };
    if is_of(&e164, wanted) { Ok(e164) } else { Err(BadPhone::OtherCode) }
}

/// Without the trunk 0, in countries that leave it out abroad.
fn trunk(text: &str, code: u16) -> &str {
    let regions = DATABASE.by_code(&code).unwrap_or_default();
    let has_trunk = regions.iter().any(|region| region.national_prefix() == Some("0"));
    if has_trunk { text.strip_prefix('0').unwrap_or(text) } else { text }
}

fn is_of(e164: &str, code: u16) -> bool {
    e164[1..].starts_with(&code.to_string())
}

/// `91`, `+91`, `0091`, `91.0` or `IN`.
fn calling_code(text: &str) -> Result<u16, BadPhone> {
    if let Ok(country) = text.parse::<Country>() {
        let region = DATABASE.by_id(country.0.as_ref());
        return region.map(|region| region.country_code()).ok_or(BadPhone::UnknownCode);
    }
    let digits = plain(text).map_err(|_| BadPhone::UnknownCode)?;
    let digits = digits.trim_start_matches('+').trim_start_matches('0');
    let code: u16 = digits.parse().map_err(|_| BadPhone::UnknownCode)?;
    DATABASE.by_code(&code).map(|_| code).ok_or(BadPhone::UnknownCode)
}

/// `+` and digits. Mexico's old `+52 1` is the same line without the 1.
fn international(text: &str) -> Result<String, BadPhone> {
    if let Some(ten) = indian_ten(text) {
        return indian(ten);
    }
    let mended = text.strip_prefix("+521").filter(|rest| rest.len() == 10);
    let text = mended.map_or_else(|| text.to_owned(), |rest| format!("+52{rest}"));
    let number = phonenumber::parse(None, &text).map_err(|_| BadPhone::Impossible)?;
    valid(&number).ok_or(BadPhone::Impossible)
}

/// Digits without `+`.
fn national(digits: &str, default: Option<Country>) -> Result<String, BadPhone> {
    let home = default.unwrap_or(Country::INDIA);
    let here = if home == Country::INDIA {
        indian_ten(digits).map_or(Err(BadPhone::Impossible), indian)
    } else {
        let number = phonenumber::parse(Some(home.0), digits).map_err(|_| BadPhone::Impossible)?;
        valid(&number).ok_or(BadPhone::Impossible)
    };
    let e164 = here?;
    if default.is_none() && is_elsewhere(digits, &e164) {
        return Err(BadPhone::TwoCountries);
    }
    Ok(e164)
}

/// A number with its country code but without `+`, or a North American one without either.
fn is_elsewhere(digits: &str, here: &str) -> bool {
    let readings = [format!("+{digits}"), format!("+1{digits}")];
    readings.iter().any(|text| international(text).is_ok_and(|e164| e164 != here))
}

fn valid(number: &PhoneNumber) -> Option<String> {
    phonenumber::is_valid(number).then(|| number.format().mode(Mode::E164).to_string())
}

/// The ten digits of `98…`, `098…`, `9198…`, `+9198…` or `+91098…`.
fn indian_ten(plain: &str) -> Option<&str> {
    let rest = match plain.strip_prefix("+91") {
        Some(rest) => rest,
        None if plain.starts_with('+') => return None,
        None if plain.len() == 12 => plain.strip_prefix("91").unwrap_or(plain),
        None => plain,
    };
    let ten = if rest.len() == 11 { rest.strip_prefix('0')? } else { rest };
    (ten.len() == 10).then_some(ten)
}

/// An Indian number that is a mobile: fixed lines may begin with 6, 7 or 8 as well.
fn indian(ten: &str) -> Result<String, BadPhone> {
    match series(ten) {
        Series::Mobile => Ok(format!("+91{ten}")),
        _ if is_dummy(ten) => Err(BadPhone::Dummy),
        Series::FixedLine => Err(BadPhone::FixedLine),
        Series::None => Err(BadPhone::Impossible),
    }
}

/// What an Indian number is; its first five digits say so (a test holds that against the
/// metadata).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Series {
    Mobile,
    FixedLine,
    None,
}

const SERIES: usize = 100_000;
/// By the first five digits: 0 is not known yet. A million rows ask the metadata little.
static KNOWN: [AtomicU8; SERIES] = [const { AtomicU8::new(0) }; SERIES];

fn series(ten: &str) -> Series {
    let Some(known) = ten.get(..5).and_then(|s| s.parse().ok()).and_then(|n: usize| KNOWN.get(n))
    else {
        return Series::None;
    };
    match known.load(Ordering::Relaxed) {
        1 => Series::Mobile,
        2 => Series::FixedLine,
        3 => Series::None,
        _ => {
            let series = looked_up(ten);
            known.store(1 + series as u8, Ordering::Relaxed);
            series
        }
    }
}

fn looked_up(ten: &str) -> Series {
    let Some(region) = DATABASE.by_id("IN") else { return Series::None };
    let is = |kind: Option<&Descriptor>| kind.is_some_and(|kind| kind.is_match(ten));
    let kinds = region.descriptors();
    if ten.starts_with(['6', '7', '8', '9']) && is(kinds.mobile()) {
        Series::Mobile
    } else if is(kinds.fixed_line()) {
        Series::FixedLine
    } else {
        Series::None
    }
}

/// Ten equal digits at the end, or 1234567890.
fn is_dummy(e164: &str) -> bool {
    let Some(ten) = e164.len().checked_sub(10).and_then(|at| e164.get(at..)) else { return false };
    let first = ten.as_bytes()[0];
    ten.bytes().all(|digit| digit == first) || ten == "1234567890" || ten == "0123456789"
}

/// `+` and ASCII digits only; understands any script's digits and spreadsheets' habits.
fn plain(text: &str) -> Result<String, BadPhone> {
    let text: String = text.chars().filter(|c| !is_unseen(*c)).collect();
    let text =
        without_prefix(text.trim().trim_start_matches(['\'', '=', '"']).trim_end_matches('"'));
    if let Some(digits) = scientific(text)? {
        return Ok(digits);
    }
    let text = text.strip_suffix(".0").unwrap_or(text);
    let mut plain = String::with_capacity(text.len());
    for c in text.chars() {
        match digit(c) {
            Some(digit) => plain.push(digit),
            None if matches!(c, '+' | '\u{ff0b}') && plain.is_empty() => plain.push('+'),
            None if matches!(c, ',' | ';' | '/' | '&' | '\n' | '|') => {
                return Err(BadPhone::Several);
            }
            None if c.is_whitespace() || is_dash(c) || "().".contains(c) => {}
            None => return Err(BadPhone::NotDigits),
        }
    }
    Ok(plain)
}

fn is_dash(c: char) -> bool {
    matches!(c, '-' | '\u{2010}'..='\u{2015}' | '\u{2212}' | '\u{fe58}' | '\u{fe63}' | '\u{ff0d}')
}

/// What other programs put before a number.
fn without_prefix(text: &str) -> &str {
    const KNOWN: &[&str] = &[
        "https://api.whatsapp.com/send?phone=",
        "https://wa.me/",
        "http://wa.me/",
        "wa.me/",
        "whatsapp:",
        "tel:",
        "p:",
    ];
    let starts = |prefix: &&&str| {
        text.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
    };
    KNOWN.iter().find(starts).map_or(text, |prefix| text[prefix.len()..].trim_start())
}

/// `9.1987654321E+11` with all its digits is a number; with fewer it is lost.
fn scientific(text: &str) -> Result<Option<String>, BadPhone> {
    let Some((mantissa, exponent)) = text.split_once(['e', 'E']) else { return Ok(None) };
    let exponent: usize =
        exponent.trim_start_matches('+').parse().map_err(|_| BadPhone::NotDigits)?;
    let (whole, fraction) = mantissa.split_once(['.', ',']).unwrap_or((mantissa, ""));
    if whole.len() != 1 || !mantissa.chars().all(|c| c.is_ascii_digit() || c == '.' || c == ',') {
        return Err(BadPhone::NotDigits);
    }
    // Spreadsheets drop trailing zeros, so up to one missing digit could be a zero; more
    // could be anything, and a wrong digit is a stranger's phone.
    if fraction.len() != exponent {
        return Err(BadPhone::Rounded);
    }
    Ok(Some(format!("{whole}{fraction}")))
}

/// ASCII, Devanagari, Bengali, Gurmukhi, Gujarati, Odia, Tamil, Telugu, Kannada,
/// Malayalam, Arabic and full-width digits.
fn digit(c: char) -> Option<char> {
    const ZEROS: &[u32] = &[
        0x30, 0x660, 0x6f0, 0x966, 0x9e6, 0xa66, 0xae6, 0xb66, 0xbe6, 0xc66, 0xce6, 0xd66, 0xff10,
    ];
    let code = u32::from(c);
    let zero = ZEROS.iter().find(|zero| (**zero..**zero + 10).contains(&code))?;
    char::from_digit(code - zero, 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_number_in_all_its_clothes_is_one_number() {
        for text in [
            "9876543210",
            "09876543210",
            "919876543210",
            "+919876543210",
            "+91 98765 43210",
            "+91-98765-43210",
            "(+91) 98765.43210",
            "00919876543210",
            "+91 098765 43210",
            "'9876543210",
            "919876543210.0",
            "9.19876543210E+11",
            "९८७६५४३२१०",
            "+९१ ९८७६५ ४३२१०",
            "\u{202a}+91 98765 43210\u{202c}",
            "\u{2068}+91\u{a0}98765\u{2212}43210\u{2069}",
            "\u{feff}98765\u{ad}43210\u{200e}",
            "tel:+919876543210",
            "whatsapp:+919876543210",
            "https://wa.me/919876543210",
            "p:+919876543210",
            "TEL: 9876543210",
            "９８７６５４３２１０",
        ] {
            let got = parse(text, None, None).map(|phone| phone.reveal().to_owned());
            assert_eq!(got.as_deref(), Ok("+919876543210"), "{text}");
        }
    }

    #[test]
    fn the_world_is_reached_with_a_country_code() {
        assert_eq!(parse("+1 415 555 2671", None, None).unwrap().reveal(), "+14155552671");
        assert_eq!(parse("0065 9123 4567", None, None).unwrap().reveal(), "+6591234567");
    }

    #[test]
    fn lost_and_impossible_numbers_say_why() {
        let cases = [
            ("9.19877E+11", BadPhone::Rounded),
            ("9.1988E11", BadPhone::Rounded),
            ("98765abc10", BadPhone::NotDigits),
            ("1234567890", BadPhone::Dummy),
            ("9999999999", BadPhone::Dummy),
            ("+91 99999 99999", BadPhone::Dummy),
            ("9876543210 / 9876543211", BadPhone::Several),
            ("080 2345 6789", BadPhone::FixedLine),
            ("+91 22 2345 6789", BadPhone::FixedLine),
            ("447911123456", BadPhone::Impossible),
            ("98765", BadPhone::Impossible),
            ("+999123456789", BadPhone::Impossible),
            ("", BadPhone::Impossible),
            ("+", BadPhone::Impossible),
        ];
        for (text, want) in cases {
            assert_eq!(parse(text, None, None).map(drop), Err(want), "{text}");
        }
    }

    #[test]
    fn digits_that_are_a_number_in_two_countries_need_a_default() {
        // Singapore, New Zealand and Nevada.
        for text in ["6590123456", "6421123456", "7025550143"] {
            assert_eq!(parse(text, None, None).map(drop), Err(BadPhone::TwoCountries), "{text}");
            let read = parse(text, None, Some(Country::INDIA)).unwrap();
            assert_eq!(read.reveal(), format!("+91{text}"));
        }
        let home = "SG".parse().ok();
        assert_eq!(parse("91234567", None, home).unwrap().reveal(), "+6591234567");
        assert_eq!(
            parse("9876500001", None, "GB".parse().ok()).map(drop),
            Err(BadPhone::Impossible)
        );
    }

    #[test]
    fn a_column_of_country_codes_counts() {
        let cases = [
            ("91", "9876500001", "+919876500001"),
            ("+91", "919876500001", "+919876500001"),
            ("IN", "09876500001", "+919876500001"),
            ("44", "7911123456", "+447911123456"),
            ("44.0", "07911123456", "+447911123456"),
            ("63", "9171234567", "+639171234567"),
            ("81", "9012345678", "+819012345678"),
            ("977", "9812345678", "+9779812345678"),
            ("1", "7025550143", "+17025550143"),
            ("971", "501234567", "+971501234567"),
            ("225", "0712345678", "+2250712345678"),
        ];
        for (code, text, want) in cases {
            let got = parse(text, Some(code), None).map(|phone| phone.reveal().to_owned());
            assert_eq!(got.as_deref(), Ok(want), "{code} {text}");
        }
        assert_eq!(parse("+447911123456", Some("91"), None).map(drop), Err(BadPhone::OtherCode));
        assert_eq!(parse("9876500001", Some("999"), None).map(drop), Err(BadPhone::UnknownCode));
    }

    #[test]
    fn numbers_that_keep_a_leading_zero_are_numbers() {
        for text in ["+2250712345678", "+2290195012345", "+242061234567", "+390236618300"] {
            assert_eq!(parse(text, None, None).unwrap().reveal(), text);
        }
        assert_eq!(parse("+52 1 55 1234 5678", None, None).unwrap().reveal(), "+525512345678");
    }

    #[test]
    fn the_first_five_digits_of_an_indian_number_say_what_it_is() {
        for prefix in (0..SERIES).step_by(53) {
            let kinds =
                ["00000", "99999", "53718"].map(|rest| looked_up(&format!("{prefix:05}{rest}")));
            assert!(kinds.iter().all(|kind| *kind == kinds[0]), "{prefix:05}: {kinds:?}");
        }
    }
}

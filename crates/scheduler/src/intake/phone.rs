//! Phone numbers as spreadsheets hold them, to E.164.
//!
//! A cheap path for Indian mobiles; libphonenumber's metadata for the rest of the world.

use domain::Phone;
use phonenumber::Mode;
use phonenumber::country::Id as Country;

/// Why a text is no phone number. Never repeats the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadPhone {
    #[error(
        "phone was rounded by the spreadsheet (9.19877E+11): format the column as text and export again"
    )]
    Rounded,
    #[error("phone holds letters or signs that are no part of a number")]
    NotDigits,
    #[error(
        "phone is not a number that exists: expected 10 digits from 6 to 9 for India, or + and a country code"
    )]
    Impossible,
}

/// Reads a number; without a country code it is Indian.
///
/// # Errors
/// When digits are missing, lost or impossible.
pub fn parse(text: &str) -> Result<Phone, BadPhone> {
    let plain = plain(text)?;
    if let Some(mobile) = indian_mobile(&plain) {
        return Phone::try_new(format!("+91{mobile}")).map_err(|_| BadPhone::Impossible);
    }
    let text = match plain.strip_prefix("00") {
        Some(rest) => format!("+{rest}"),
        None => plain,
    };
    if !text.starts_with('+') {
        return Err(BadPhone::Impossible); // an Indian landline, or a number short of its country
    }
    let number = phonenumber::parse(Some(Country::IN), &text).map_err(|_| BadPhone::Impossible)?;
    if !phonenumber::is_valid(&number) {
        return Err(BadPhone::Impossible);
    }
    let e164 = number.format().mode(Mode::E164).to_string();
    Phone::try_new(e164).map_err(|_| BadPhone::Impossible)
}

/// `+` and ASCII digits only; understands any script's digits and spreadsheets' habits.
fn plain(text: &str) -> Result<String, BadPhone> {
    let text = text.trim().trim_start_matches(['\'', '=', '"']).trim_end_matches('"');
    if let Some(digits) = scientific(text)? {
        return Ok(digits);
    }
    let text = text.strip_suffix(".0").unwrap_or(text);
    let mut plain = String::with_capacity(text.len());
    for c in text.chars() {
        match digit(c) {
            Some(digit) => plain.push(digit),
            None if c == '+' && plain.is_empty() => plain.push('+'),
            None if " -().\u{a0}\u{2010}\u{2011}\u{2012}\u{2013}\u{200b}\u{202a}\u{202c}/"
                .contains(c) => {}
            None => return Err(BadPhone::NotDigits),
        }
    }
    Ok(plain)
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

/// The ten digits of `98…`, `098…`, `9198…`, `+9198…` or `+91098…`.
fn indian_mobile(plain: &str) -> Option<&str> {
    let rest = match plain.strip_prefix("+91").or_else(|| plain.strip_prefix("0091")) {
        Some(rest) => rest,
        None if plain.starts_with('+') => return None,
        None if plain.len() == 12 => plain.strip_prefix("91").unwrap_or(plain),
        None => plain,
    };
    let ten = if rest.len() == 11 { rest.strip_prefix('0')? } else { rest };
    let mobile = ten.len() == 10 && ten.starts_with(['6', '7', '8', '9']);
    mobile.then_some(ten)
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
            "９８７６５４３２１０",
        ] {
            let got = parse(text).map(|phone| phone.reveal().to_owned());
            assert_eq!(got.as_deref(), Ok("+919876543210"), "{text}");
        }
    }

    #[test]
    fn the_world_is_reached_with_a_country_code() {
        assert_eq!(parse("+1 415 555 2671").unwrap().reveal(), "+14155552671");
        assert_eq!(parse("0065 9123 4567").unwrap().reveal(), "+6591234567");
    }

    #[test]
    fn lost_and_impossible_numbers_say_why() {
        let cases = [
            ("9.19877E+11", BadPhone::Rounded),
            ("9.1988E11", BadPhone::Rounded),
            ("98765abc10", BadPhone::NotDigits),
            ("1234567890", BadPhone::Impossible),
            ("98765", BadPhone::Impossible),
            ("+999123456789", BadPhone::Impossible),
            ("", BadPhone::Impossible),
            ("+", BadPhone::Impossible),
        ];
        for (text, want) in cases {
            assert_eq!(parse(text).map(drop), Err(want), "{text}");
        }
    }
}

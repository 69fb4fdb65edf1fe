//! Who is behind an address: one WhatsApp user may be spelt in several ways.
//!
//! Invariant: two addresses that reach one phone have a key in common. Mexico's `1`,
//! Argentina's `9` and Brazil's ninth digit are parts of a spelling, not of the person.
//! Source: Meta, "Phone numbers": `wa_id` may differ from the number that was given.

use crate::recipient::{Address, Phone};

/// The keys of a person: of the phone, of the user id, or of both. Personal data.
pub fn keys(address: &Address) -> impl Iterator<Item = String> {
    let phone = address.phone().map(phone_key);
    let user_id = address.user_id().map(|id| id.reveal().to_owned());
    phone.into_iter().chain(user_id)
}

/// The number without the parts that WhatsApp adds or leaves out.
pub fn phone_key(phone: &Phone) -> String {
    let digits = phone.reveal().trim_start_matches('+');
    let rest = |prefix: &str, length: usize| {
        digits.strip_prefix(prefix).filter(|rest| rest.len() == length)
    };
    if let Some(rest) = rest("521", 10) {
        return format!("+52{rest}");
    }
    if let Some(rest) = rest("549", 10) {
        return format!("+54{rest}");
    }
    // A Brazilian mobile: two digits of area, 9, and eight more.
    if let Some(rest) = rest("55", 11)
        && rest.as_bytes()[2] == b'9'
    {
        return format!("+55{}{}", &rest[..2], &rest[3..]);
    }
    format!("+{digits}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_spellings_of_one_whatsapp_user_have_one_key() {
        let same = [
            ("+5215512345678", "+525512345678"),
            ("+5491123456789", "+541123456789"),
            ("+5511987654321", "+551187654321"),
        ];
        for (a, b) in same {
            let key = |text: &str| phone_key(&Phone::try_new(text).unwrap());
            assert_eq!(key(a), key(b));
        }
    }

    #[test]
    fn other_numbers_are_their_own_key() {
        // A Mexican number of area 1, a Brazilian fixed line, an Indian mobile.
        for text in ["+52155123456", "+551132345678", "+919876543210", "+15551234567"] {
            assert_eq!(phone_key(&Phone::try_new(text).unwrap()), text);
        }
    }
}

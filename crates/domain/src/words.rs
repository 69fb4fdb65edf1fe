//! The provider's own words about an error, fit to be kept and shown.
//!
//! Invariant: no personal data: numbers of five digits and more, whatever stands in quotes,
//! addresses and long runs of signs go; at most 300 characters stay.

const CHARS_MAX: usize = 300;

/// Message and details of an error as one line; empty when there are none.
pub fn scrubbed(message: &str, details: &str) -> String {
    let message = message.trim();
    let details = details.trim();
    let both = if details.is_empty() || details == message {
        message.to_owned()
    } else if message.is_empty() {
        details.to_owned()
    } else {
        format!("{message}: {details}")
    };
    let mut words = Vec::new();
    for word in without_quotes(&both).split_whitespace() {
        words.push(scrub(word));
    }
    let mut line: String = words.join(" ");
    if line.chars().count() > CHARS_MAX {
        line = line.chars().take(CHARS_MAX).chain(['…']).collect();
    }
    line
}

/// What a provider quotes is usually ours: a parameter, a name.
fn without_quotes(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut until: Option<char> = None;
    let mut before = ' ';
    for c in text.chars() {
        match until {
            Some(end) if c == end => until = None,
            Some(_) => {}
            None => {
                until = match c {
                    '"' => Some('"'),
                    '“' => Some('”'),
                    '‘' => Some('’'),
                    '`' => Some('`'),
                    '\'' if !before.is_alphanumeric() => Some('\''),
                    _ => None,
                };
                if until.is_some() { out.push('…') } else { out.push(c) }
            }
        }
        before = c;
    }
    out
}

fn scrub(word: &str) -> String {
    let digits = word.chars().filter(|c| c.is_ascii_digit()).count();
    let code = word.starts_with("(#") || word.starts_with('#');
    let steers = word.chars().any(|c| c.is_control());
    let hidden =
        (digits >= 5 && !code) || word.contains('@') || word.chars().count() > 60 || steers;
    if hidden { "…".to_owned() } else { word.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn personal_data_goes_and_the_reason_stays() {
        let cases = [
            ("(#131026) Message undeliverable", "", "(#131026) Message undeliverable"),
            (
                "(#132000) Number of parameters does not match",
                "body: number of localizable_params (1) does not match the expected number of params (2)",
                "(#132000) Number of parameters does not match: body: number of localizable_params (1) does not match the expected number of params (2)",
            ),
            ("Recipient +919876500001 is not allowed", "", "Recipient … is not allowed"),
            ("Parameter 'Asha Rao' is too long", "", "Parameter … is too long"),
            ("value \"9 lakh\" can't be used", "", "value … can't be used"),
            ("", "write to asha@example.com", "write to …"),
        ];
        for (message, details, want) in cases {
            assert_eq!(scrubbed(message, details), want);
        }
        assert!(scrubbed(&"x ".repeat(1_000), "").chars().count() <= CHARS_MAX + 1);
    }
}

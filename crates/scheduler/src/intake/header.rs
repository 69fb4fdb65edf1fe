//! Which column is which: known headings, and what to rename when one is missing.

use super::IntakeError;

/// A column of ours, and what other programs call it.
pub struct Column {
    pub name: &'static str,
    pub also: &'static [&'static str],
}

pub const fn column(name: &'static str, also: &'static [&'static str]) -> Column {
    Column { name, also }
}

/// What a kind of file may hold; other columns are kept under their own names.
pub struct Schema {
    pub columns: &'static [Column],
    /// Of each group one column must be there.
    pub required: &'static [&'static [&'static str]],
}

/// The header of one file: our names where they are known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Header {
    pub names: Vec<String>,
    /// How many of them are known.
    pub known: usize,
    /// Another column than ours that means the same, where a guess reaches a stranger.
    rival: Option<String>,
}

/// Columns of which a file may have one, whatever it is called.
const ALONE: &[&str] = &["phone", "country_code", "bsuid"];

impl Header {
    /// Reads a row as a header. Only a row with a known heading is one.
    pub fn of<'a>(cells: impl Iterator<Item = &'a str>, schema: &Schema) -> Header {
        let plain: Vec<String> = cells.map(plain).collect();
        let known = |name: &String| schema.columns.iter().any(|c| c.name == name);
        let mut names = plain.clone();
        // Our own name wins over what others call the same.
        for column in schema.columns.iter().filter(|c| !plain.iter().any(|n| n == c.name)) {
            for name in names.iter_mut().filter(|name| column.also.contains(&name.as_str())) {
                column.name.clone_into(name);
            }
        }
        let known = names.iter().filter(|name| known(name)).count();
        let alone = schema.columns.iter().filter(|column| {
            ALONE.contains(&column.name) && plain.iter().any(|name| name == column.name)
        });
        let rival = alone
            .flat_map(|column| plain.iter().filter(|name| column.also.contains(&name.as_str())))
            .next()
            .cloned();
        Header { names, known, rival }
    }

    pub fn position(&self, name: &str) -> Option<usize> {
        self.names.iter().position(|column| column == name)
    }

    /// No heading twice, and all that is required.
    ///
    /// # Errors
    /// Which column is missing or double.
    pub fn check(&self, schema: &Schema) -> Result<(), IntakeError> {
        let double = self
            .names
            .iter()
            .enumerate()
            .find(|(at, name)| !name.is_empty() && self.names[..*at].contains(name));
        if let Some((_, name)) = double {
            return Err(IntakeError::DoubleColumn(name.clone()));
        }
        if let Some(rival) = &self.rival {
            return Err(IntakeError::RivalColumn(rival.clone()));
        }
        for any in schema.required {
            if !any.iter().any(|wanted| self.position(wanted).is_some()) {
                let (wanted, found) = (any.join(" or "), self.names.join(", "));
                return Err(IntakeError::MissingColumn { wanted, found, hint: String::new() });
            }
        }
        Ok(())
    }
}

/// `Opted In At`, `opted-in-at` and `opted_in_at` are one heading.
fn plain(heading: &str) -> String {
    let mut plain = String::new();
    for c in heading.chars().filter(|c| !domain::text::is_unseen(*c) && !is_steering(*c)) {
        let gap = c.is_whitespace() || "-_./()'\"".contains(c);
        match c {
            _ if !gap => plain.extend(c.to_lowercase()),
            _ if !plain.is_empty() && !plain.ends_with('_') => plain.push('_'),
            _ => {}
        }
    }
    plain.trim_end_matches('_').to_owned()
}

/// Control signs other than white space: a heading is printed.
fn is_steering(c: char) -> bool {
    c.is_control() && !c.is_whitespace()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCHEMA: Schema = Schema {
        columns: &[column("id", &["client_id"]), column("phone", &["mobile_no", "phone_1_value"])],
        required: &[&["id"], &["phone"]],
    };

    fn names(cells: &[&str]) -> Vec<String> {
        Header::of(cells.iter().copied(), &SCHEMA).names
    }

    #[test]
    fn known_headings_are_recognised_in_any_spelling() {
        assert_eq!(names(&["\u{feff}ID", "Mobile No.", "Firm Name"]), ["id", "phone", "firm_name"]);
        assert_eq!(names(&["Client-Id", "Phone 1 - Value"]), ["id", "phone"]);
        assert_eq!(names(&["phone", "Mobile No"]), ["phone", "mobile_no"], "our name wins");
    }

    #[test]
    fn two_columns_that_may_both_be_meant_are_refused() {
        let header = Header::of(["id", "Mobile No", "Phone 1 - Value"].into_iter(), &SCHEMA);
        assert!(matches!(header.check(&SCHEMA), Err(IntakeError::DoubleColumn(_))));
        let header = Header::of(["id", "phone", "Mobile No"].into_iter(), &SCHEMA);
        assert!(matches!(header.check(&SCHEMA), Err(IntakeError::RivalColumn(_))));
    }
}

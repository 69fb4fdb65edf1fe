//! What becomes of the stored list when a new one is imported.
//!
//! Invariants: a stored row stays only for a new row that cannot be read, never for one
//! refused as a duplicate, and never beside a new row of the same person; whoever a refused
//! row says *no* for loses the consent they had.

use std::collections::HashSet;

use domain::Recipient;

use super::Kind;
use super::persons::Said;
use super::recipients::ReadList;

/// Judges stored rows, one after the other.
pub struct Keeper<'a> {
    list: &'a mut ReadList,
    /// Ids whose new row is refused, and not as a duplicate.
    wanted: HashSet<String>,
    /// How many stay.
    pub kept: usize,
}

impl<'a> Keeper<'a> {
    pub fn new(list: &'a mut ReadList) -> Self {
        let duplicates: HashSet<&String> = list
            .findings
            .refused
            .iter()
            .filter(|refused| refused.kind == Kind::Duplicate)
            .filter_map(|refused| refused.id.as_ref())
            .collect();
        let bad = list.findings.refused.iter().filter(|refused| refused.kind == Kind::Bad);
        let ids = bad.filter_map(|refused| refused.id.as_ref());
        let wanted = ids.filter(|id| !duplicates.contains(id)).cloned().collect();
        Keeper { list, wanted, kept: 0 }
    }

    /// A *no* that names somebody by id holds for the number that is stored under it too,
    /// whoever the new list gives that number to. Before any row is kept or settled.
    pub fn learn(&mut self, stored: &Recipient) {
        let told = self.list.persons.told(stored);
        if told.any() {
            let said = Said { denied: told, told };
            self.list.persons.deny(None, Some(&stored.address), said);
        }
    }

    /// The stored row as it stays, or `None` when it goes.
    pub fn keep(&mut self, stored: Recipient) -> Option<Recipient> {
        let wanted = self.wanted.contains(stored.id.as_str())
            || self.list.persons.is_wanted(&stored.address);
        if !wanted {
            return None;
        }
        self.list.persons.enter(&stored, 0).ok()?;
        self.kept += 1;
        Some(self.settle(stored))
    }

    /// A row of the final list with what others said of its person.
    pub fn settle(&self, mut recipient: Recipient) -> Recipient {
        let denied = self.list.persons.denied(&recipient);
        denied.from(&mut recipient);
        recipient
    }

    /// A stored row that stays although no row of the file is good: only a *no* that
    /// somebody really said changes it. True when it did.
    pub fn told(&self, stored: &mut Recipient) -> bool {
        self.list.persons.told(stored).from(stored)
    }

    /// Whether rows of the new list have to be settled at all.
    pub fn denies_any(&self) -> bool {
        self.list.persons.denies_any()
    }
}

#[cfg(test)]
mod tests {
    use super::super::Rules;
    use super::super::recipients::read_recipients;
    use super::*;
    use chrono_tz::Asia::Kolkata;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn list(text: &str) -> (Vec<Recipient>, ReadList) {
        let now = chrono::DateTime::from_timestamp(1_800_000_000, 0).unwrap().into();
        let mut rows = Vec::new();
        let read =
            read_recipients(text.as_bytes(), &Rules::new(Kolkata, now), &mut |r| rows.push(r));
        (rows, read.unwrap())
    }

    fn merged(stored: &str, new: &str) -> Vec<Recipient> {
        let (stored, _) = list(stored);
        let (rows, mut read) = list(new);
        let mut keeper = Keeper::new(&mut read);
        let kept: Vec<Recipient> = stored.into_iter().filter_map(|row| keeper.keep(row)).collect();
        rows.into_iter().map(|row| keeper.settle(row)).chain(kept).collect()
    }

    const HEADER: &str = "id,name,phone,language,consent_utility\n";

    fn said(rows: &[Recipient]) -> Vec<String> {
        let row = |r: &Recipient| format!("{} {}", r.id.as_str(), r.consent_utility);
        rows.iter().map(row).collect()
    }

    #[test]
    fn a_stored_row_never_stands_beside_a_new_one_of_its_person() {
        let stored = format!("{HEADER}a1,Asha,9876500001,en,yes\na2,Vikram,9876500002,en,yes\n");
        let new = format!("{HEADER}a1,Vikram,9876500002,en,yes\na2,Asha,9.8765E+09,en,yes\n");
        assert_eq!(said(&merged(&stored, &new)), ["a1 true"]);
        // A row that is refused as a duplicate revives nothing.
        let new = format!("{HEADER}a1,Asha,9876500001,en,yes\na2,Asha,9876500001,en,yes\n");
        assert_eq!(said(&merged(&stored, &new)), ["a1 true"]);
    }

    #[test]
    fn any_no_ends_a_stored_yes() {
        let stored = format!("{HEADER}a1,Asha,9876500001,en,yes\n");
        let cases = [
            ("a1,Asha,9876500001,en,STOP", "a1 false"),
            ("a1,Asha,9876500001,en,perhaps", "a1 false"),
            ("a1,Asha,98765,en,no", "a1 false"),
            ("a1,Asha, Rao,9876500001,en,opted out", "a1 false"),
            ("a1,Asha,98765,en,yes", "a1 true"),
            ("a1,Asha,9876500001,klingon,no", "a1 false"),
        ];
        for (row, want) in cases {
            assert_eq!(said(&merged(&stored, &format!("{HEADER}{row}\n"))), [want], "{row}");
        }
        let conflict =
            format!("{HEADER}a1,Asha,9876500001,en,yes\ncrm-77,Asha,+91 98765 00001,en,no\n");
        assert_eq!(said(&merged(&stored, &conflict)), ["a1 false"], "of two rows no wins");
    }

    proptest! {
        /// Whatever two files say: one row a person, and nobody is written to whom the new
        /// file names with a *no*.
        #[test]
        fn no_import_makes_two_rows_of_a_person_or_a_yes_of_a_no(
            old in prop::collection::vec((0..5u8, 0..5u8, 0..4usize), 0..8),
            new in prop::collection::vec((0..5u8, 0..6u8, 0..4usize, 0..3usize), 1..8),
        ) {
            const WORDS: [&str; 4] = ["yes", "no", "STOP", "maybe"];
            let phone = tests_phone;
            let mut stored = HEADER.to_owned();
            for (id, number, word) in &old {
                stored += &format!("a{id},Asha,{},en,{}\n", phone(*number), WORDS[*word]);
            }
            let mut file = HEADER.to_owned();
            for (id, number, word, damage) in &new {
                let extra = ["", ",extra", ",x,z"][*damage];
                file += &format!("a{id},Asha,{},en,{}{extra}\n", phone(*number), WORDS[*word]);
            }
            let rows = merged(&stored, &file);
            let phones: BTreeSet<&str> = rows.iter().map(|r| r.address.phone().unwrap().reveal()).collect();
            let ids: BTreeSet<&str> = rows.iter().map(|r| r.id.as_str()).collect();
            prop_assert_eq!(phones.len(), rows.len());
            prop_assert_eq!(ids.len(), rows.len());
            for (id, number, word, _) in &new {
                if *word == 0 { continue }
                let (id, phone) = (format!("a{id}"), format!("+91{}", phone(*number)));
                for row in rows.iter().filter(|r| r.id.as_str() == id || r.address.phone().unwrap().reveal() == phone) {
                    // A new row of another person may take over an id: its own yes stands.
                    let own = new.iter().any(|(i, n, w, d)| *w == 0 && *d == 0 && format!("a{i}") == row.id.as_str()
                        && format!("+91{}", tests_phone(*n)) == row.address.phone().unwrap().reveal());
                    let same = row.id.as_str() == id && row.address.phone().unwrap().reveal() == phone;
                    prop_assert!(!row.consent_utility || (own && !same), "{:?}", (id, phone));
                }
            }
        }
    }

    fn tests_phone(n: u8) -> String {
        if n == 5 { "98765".to_owned() } else { format!("987650000{n}") }
    }
}

//! What people agree to, and take back, by an operator's hand.

use std::collections::BTreeMap;
use std::time::Duration;

use domain::campaign::Category;
use domain::{Address, Timestamp};
use ledger::opt_outs::{self, Of, Said};
use records::consents::{self, Consent, Saying, Wish};
use records::people::{self, PersonId};
use records::{Tries, audit, outbox, tenants};
use serde_json::json;

use crate::error::{DeskError, Result};
use crate::{Desk, Mode};

/// What a letter to the ledger is called that holds sayings.
pub const LETTER: &str = "consent";
/// A clock that is so far ahead of ours is still believed.
const AHEAD_MAX: Duration = Duration::from_secs(120);
/// Longest source and proof, in characters.
const SOURCE_MAX: usize = 64;
const PROOF_MAX: usize = 256;
/// 2009-01-01: nobody agreed to anything on WhatsApp before.
const WHATSAPP_BEGAN: Timestamp = Timestamp::from_secs(1_230_768_000);
/// Of a source: it stands in the audit, where no phone number may be.
const DIGITS_MAX: usize = 4;
/// Words in one transaction.
const CHUNK: usize = 2_000;
/// Sayings in one letter.
const LETTER_MAX: usize = 500;

/// What somebody said. Personal data.
#[derive(Clone, Debug)]
pub struct Word {
    pub who: Address,
    pub categories: Vec<Category>,
    pub wish: Wish,
    /// `None`: now.
    pub said_at: Option<Timestamp>,
    /// How it came, one word: `form`, `call`, `letter` …
    pub source: String,
    /// What shows it; with the source it names the saying, so that telling it again is no second
    /// one.
    pub proof: String,
}

/// What became of words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Recorded {
    /// Sayings, one a category.
    pub sayings: usize,
    /// Those that were not there before.
    pub new: u64,
}

impl Desk {
    /// Keeps what people said. Takes effect at once: the ledger hears of it within a second, and
    /// whoever took their consent back gets nothing more.
    ///
    /// # Errors
    /// [`DeskError::WrongUse`] names the first word that makes no sense: nothing is kept then. When
    /// the records do not answer, words before the failure may be kept; telling all again is safe.
    pub async fn record_consents(&self, words: &[Word], mode: Mode) -> Result<Recorded> {
        let now = self.clock.now();
        for (at, word) in words.iter().enumerate() {
            check(word, now)
                .map_err(|why| DeskError::WrongUse(format!("word {}: {why}", at + 1)))?;
        }
        let sayings = words.iter().map(|word| word.categories.len()).sum();
        let mut recorded = Recorded { sayings, new: 0 };
        if mode == Mode::DryRun {
            return Ok(recorded);
        }
        for words in words.chunks(CHUNK) {
            let mut tries = Tries::default();
            recorded.new += loop {
                match self.keep(words, now).await {
                    Err(error) if tries.again(&error) => {}
                    done => break done?,
                }
            };
        }
        Ok(recorded)
    }

    /// Everything that a person said, the oldest first; `None`: nobody is known there.
    ///
    /// # Errors
    /// When the records do not answer.
    pub async fn consents_of(&self, who: &Address) -> Result<Option<Vec<Consent>>> {
        match people::of(&self.records, &self.tenant, who).await? {
            Some(person) => {
                Ok(Some(consents::history(&self.records, &self.tenant, &person).await?))
            }
            None => Ok(None),
        }
    }

    async fn keep(&self, words: &[Word], now: Timestamp) -> records::Result<u64> {
        let doing = "keep consents";
        let mut tx = self.records.begin(doing).await?;
        tenants::ensure(&mut tx, &self.tenant, now).await?;
        let addresses: Vec<&Address> = words.iter().map(|word| &word.who).collect();
        let people = {
            let mut rng = self.fork_rng();
            people::ensure(&mut tx, &self.tenant, &addresses, now, &mut rng).await?
        };
        let sayings: Vec<Saying> = words
            .iter()
            .zip(&people)
            .flat_map(|(word, person)| sayings(word, person, &self.actor, now))
            .collect();
        let mut rng = self.fork_rng();
        let new = consents::add(&mut tx, &self.tenant, &sayings, now, &mut rng).await?;
        if new == 0 {
            return Ok(0); // all of it was told before, and so was the ledger
        }
        outbox::put(&mut tx, &self.tenant, LETTER, letters(words, now), now, &mut rng).await?;
        let mut by_wish: BTreeMap<&str, usize> = BTreeMap::new();
        sayings.iter().for_each(|s| *by_wish.entry(s.wish.as_str()).or_default() += 1);
        let object = match &people[..] {
            [person] => person.as_str().to_owned(),
            many => format!("{} people", many.len()),
        };
        let done = audit::Done {
            actor: &self.actor,
            act: "consents record",
            object: &object,
            detail: json!({"sayings": by_wish, "new": new, "source": words[0].source}),
        };
        audit::add(&mut tx, &self.tenant, &done, now).await?;
        tx.commit(doing).await?;
        Ok(new)
    }
}

/// Whether a word makes sense, for who reads many of them line by line.
///
/// # Errors
/// Why not, and what would; without what stood there, which may be a person's.
pub fn check(word: &Word, now: Timestamp) -> std::result::Result<(), String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./".contains(c);
    if word.categories.is_empty() {
        return Err("it names no category: expected utility, marketing or both".to_owned());
    }
    let number = word.source.chars().filter(char::is_ascii_digit).count() > DIGITS_MAX;
    let fits = (1..=SOURCE_MAX).contains(&word.source.len()) && word.source.chars().all(plain);
    if !fits || number {
        return Err(format!(
            "source: expected how it came, such as form or call: 1 to {SOURCE_MAX} letters, - _ . or /, and at most {DIGITS_MAX} digits"
        ));
    }
    let proof = word.proof.trim();
    if proof.is_empty() || proof.chars().count() > PROOF_MAX || proof.chars().any(char::is_control)
    {
        return Err(format!(
            "proof: expected 1 to {PROOF_MAX} characters without control characters"
        ));
    }
    match word.said_at {
        Some(at) if at > now + AHEAD_MAX => Err("it was said in the future".to_owned()),
        Some(at) if at < WHATSAPP_BEGAN => {
            Err("it was said before there was WhatsApp (2009)".to_owned())
        }
        _ => Ok(()),
    }
}

fn sayings<'a>(
    word: &'a Word,
    person: &'a PersonId,
    actor: &'a str,
    now: Timestamp,
) -> impl Iterator<Item = Saying> + 'a {
    word.categories.iter().map(move |category| Saying {
        person: person.clone(),
        category: *category,
        wish: word.wish,
        said_at: word.said_at.unwrap_or(now),
        source: word.source.clone(),
        proof: word.proof.trim().to_owned(),
        actor: actor.to_owned(),
    })
}

/// What the ledger has to hear, under hashes of the persons' keys.
fn letters(words: &[Word], now: Timestamp) -> Vec<String> {
    let said: Vec<Said> = words.iter().flat_map(|word| as_said(word, now)).collect();
    let letter = |said: &[Said]| serde_json::to_string(said).expect("sayings are plain data");
    said.chunks(LETTER_MAX).map(letter).collect()
}

fn as_said(word: &Word, now: Timestamp) -> Vec<Said> {
    let wish = match word.wish {
        Wish::Given => opt_outs::Wish::Resume,
        Wish::Withdrawn => opt_outs::Wish::Stop,
    };
    let all = Category::ALL.iter().all(|category| word.categories.contains(category));
    let of = match all {
        true => vec![Of::All],
        false => word.categories.iter().copied().map(Of::Only).collect(),
    };
    let at = word.said_at.unwrap_or(now);
    let of_key = |person: String| {
        let said = |of: &Of| Said { person: person.clone(), of: *of, wish, at };
        of.iter().map(said).collect::<Vec<_>>()
    };
    opt_outs::hashes(&word.who).flat_map(of_key).collect()
}

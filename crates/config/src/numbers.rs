//! `[[numbers]]`, what is sent from, and `[[receiver.endpoints]]`, where webhooks come in beside
//! the first place.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use domain::{BusinessNumber, NumberId};

use inbox::FIRST_ENDPOINT;
use quality::rating::Shares;

use super::read::Section;

/// The numbers that we send from.
#[derive(Clone, Debug, Default)]
pub struct Numbers {
    pub all: Vec<BusinessNumber>,
    /// Files of the tokens of those that have one of their own.
    pub tokens: BTreeMap<NumberId, PathBuf>,
}

/// A place for the webhooks of another app or partner: `/webhooks/<name>`.
#[derive(Clone, Debug)]
pub struct EndpointFiles {
    pub name: String,
    pub app_secret: PathBuf,
    /// Still accepted while the secret is being rotated.
    pub app_secret_previous: Option<PathBuf>,
    pub verify_token: PathBuf,
    /// Of these no other endpoint may speak.
    pub numbers: Vec<NumberId>,
}

/// At least one, each id once.
pub fn read_numbers(root: &mut Section, home: &Path) -> Numbers {
    let sections = root.tables("numbers");
    if sections.is_empty() {
        let expected = "at least one [[numbers]] with the id of a phone number";
        root.problem("numbers", "nothing", expected);
    }
    let mut numbers = Numbers::default();
    for mut section in sections {
        let throughput = section.integer("throughput", 80, 1..=1_000);
        let weight = section.integer("weight", throughput, 0..=1_000_000);
        let token = section.path("token_file");
        let Some(id) = section.text("id") else {
            section.problem("id", "nothing", "Meta's phone_number_id, e.g. \"106540352242922\"");
            continue;
        };
        match NumberId::try_new(id) {
            Ok(id) if numbers.all.iter().any(|number| number.id == id) => {
                section.problem("id", id.as_str(), "an id that is not listed above");
            }
            Ok(id) => {
                let token = token.map(|token| (id.clone(), home.join(token)));
                numbers.tokens.extend(token);
                numbers.all.push(BusinessNumber { id, throughput, weight });
            }
            Err(bad) => section.problem("id", "an unusable id", &bad.to_string()),
        }
    }
    numbers
}

/// Each name once; a number belongs to one of them.
pub fn read_endpoints(receiver: &mut Section, home: &Path) -> Vec<EndpointFiles> {
    let mut endpoints: Vec<EndpointFiles> = Vec::new();
    for mut section in receiver.tables("endpoints") {
        let mut file = |key: &str| {
            let path = section.path(key);
            if path.is_none() {
                section.problem(key, "nothing", "the path of a file that holds it");
            }
            home.join(path.unwrap_or_default())
        };
        let (app_secret, verify_token) = (file("app_secret_file"), file("verify_token_file"));
        let previous = section.path("app_secret_previous_file");
        let name = section.text("name").unwrap_or_default();
        let plain = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
        if name.is_empty() || name.len() > 32 || !name.bytes().all(plain) {
            section.problem("name", &format!("{name:?}"), "1 to 32 small letters, digits or -");
        }
        if name == FIRST_ENDPOINT {
            section.problem("name", &name, "another name: that one is Meta's own endpoint");
        }
        if endpoints.iter().any(|other| other.name == name) {
            section.problem("name", &name, "a name that is not listed above");
        }
        let mut numbers = Vec::new();
        for id in section.texts("numbers").unwrap_or_default() {
            let taken = |id: &NumberId| endpoints.iter().any(|other| other.numbers.contains(id));
            match NumberId::try_new(id) {
                Ok(id) if taken(&id) => {
                    section.problem("numbers", id.as_str(), "a number of no other endpoint");
                }
                Ok(id) => numbers.push(id),
                Err(bad) => section.problem("numbers", "an unusable id", &bad.to_string()),
            }
        }
        let app_secret_previous = previous.map(|file| home.join(file));
        endpoints.push(EndpointFiles {
            name,
            app_secret,
            app_secret_previous,
            verify_token,
            numbers,
        });
    }
    endpoints
}

/// What the daemon does about its numbers by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pool {
    /// Whether a number slows down and stops as Meta's rating and status ask for.
    pub follow_rating: bool,
    pub shares: Shares,
}

pub fn read_pool(section: &mut Section) -> Pool {
    let defaults = Shares::default();
    let mut percent = |key: &str, default: u8| {
        let n = section.integer(key, u32::from(default), 0..=100);
        u8::try_from(n).unwrap_or(default)
    };
    let yellow = percent("yellow_percent", defaults.yellow);
    let red = percent("red_percent", defaults.red);
    if red > yellow {
        section.problem("red_percent", &red.to_string(), "at most yellow_percent");
    }
    Pool { follow_rating: section.flag("follow_rating", true), shares: Shares { yellow, red } }
}

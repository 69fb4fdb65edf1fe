//! Every Redis key, and nothing else builds one.
//!
//! | key | type | holds |
//! |---|---|---|
//! | `<p>:runs` | set | ids of all runs |
//! | `<p>:active` | set | ids of runs that may not be closed; a hint, the meta hash decides |
//! | `<p>:schema` | string | version of this layout |
//! | `<p>:{run}:meta` | hash | header, phase, cursor, sealed_at, started_at, until, resends, incarnation, begun_at, generation, rows_doubted_at |
//! | `<p>:{run}:d` | hash | index → record (JSON) |
//! | `<p>:{run}:m` | hash | index → message (JSON, personal data) |
//! | `<p>:{run}:b` | hash | body hash → body |
//! | `<p>:{run}:due:<lane>` | sorted set | waiting deliveries by the instant they may go |
//! | `<p>:{run}:look` | sorted set | leased, intent, ambiguous, or with an end of its own, by when the sweeper looks |
//! | `<p>:{run}:c` | hash | state → count |
//! | `<p>:{run}:w` | hash | lane → the latest send that a webhook has spoken of; lane`:slow` → microseconds that slow statuses take |
//! | `<p>:{run}:n` | sorted set | index of what a person may want to look at, by itself |
//! | `<p>:{run}:i` | sorted set | a rolling run's indexes, each by itself |
//! | `<p>:{run}:k` | hash | a rolling run's row key → index |
//! | `<p>:{run}:p` | hash | a rolling run's hash of a person → indexes, each with a comma after it |
//! | `<p>:{run}:x` | hash | index → what stood where a record could not be read |
//! | `<p>:cell:<name>` | string | small texts that processes share |
//!
//! A run's keys share one hash tag, so that a chunk, its cursor and its counters are one
//! atomic step. Scores are microseconds since 1970.

use domain::RunId;

#[derive(Clone, Debug)]
pub struct Keys {
    prefix: String,
}

impl Keys {
    pub fn new(prefix: &str) -> Self {
        Keys { prefix: prefix.to_owned() }
    }

    pub fn runs(&self) -> String {
        format!("{}:runs", self.prefix)
    }

    pub fn active(&self) -> String {
        format!("{}:active", self.prefix)
    }

    /// Matches every key of this prefix.
    pub fn all(&self) -> String {
        format!("{}:*", self.prefix)
    }

    pub fn schema(&self) -> String {
        format!("{}:schema", self.prefix)
    }

    pub fn meta(&self, run: &RunId) -> String {
        self.of(run, "meta")
    }

    pub fn records(&self, run: &RunId) -> String {
        self.of(run, "d")
    }

    pub fn messages(&self, run: &RunId) -> String {
        self.of(run, "m")
    }

    pub fn bodies(&self, run: &RunId) -> String {
        self.of(run, "b")
    }

    pub fn look(&self, run: &RunId) -> String {
        self.of(run, "look")
    }

    pub fn counts(&self, run: &RunId) -> String {
        self.of(run, "c")
    }

    pub fn witnesses(&self, run: &RunId) -> String {
        self.of(run, "w")
    }

    pub fn damaged(&self, run: &RunId) -> String {
        self.of(run, "x")
    }

    pub fn attention(&self, run: &RunId) -> String {
        self.of(run, "n")
    }

    pub fn indexes(&self, run: &RunId) -> String {
        self.of(run, "i")
    }

    pub fn row_keys(&self, run: &RunId) -> String {
        self.of(run, "k")
    }

    pub fn people(&self, run: &RunId) -> String {
        self.of(run, "p")
    }

    /// Every key of a run, its meta hash first.
    pub fn of_run(&self, run: &RunId, lanes: usize) -> Vec<String> {
        let due = (0..lanes).map(|lane| self.due(run, u16::try_from(lane).unwrap_or(u16::MAX)));
        let keys = [
            self.meta(run),
            self.counts(run),
            self.records(run),
            self.messages(run),
            self.bodies(run),
            self.look(run),
            self.witnesses(run),
            self.damaged(run),
            self.attention(run),
            self.indexes(run),
            self.row_keys(run),
            self.people(run),
        ];
        keys.into_iter().chain(due).collect()
    }

    pub fn cell(&self, name: &str) -> String {
        format!("{}:cell:{name}", self.prefix)
    }

    /// The lane's number is appended, here or in Lua.
    pub fn due_prefix(&self, run: &RunId) -> String {
        self.of(run, "due:")
    }

    pub fn due(&self, run: &RunId, lane: u16) -> String {
        format!("{}{lane}", self.due_prefix(run))
    }

    fn of(&self, run: &RunId, what: &str) -> String {
        format!("{}:{{{run}}}:{what}", self.prefix)
    }
}

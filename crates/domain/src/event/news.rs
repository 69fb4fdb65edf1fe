//! What is told of a template, a number or the account, as a person needs it: which thing, what
//! happened, why, from what to what, until when.

use std::fmt;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct News {
    pub field: String,
    pub event: String,
    /// The messaging limit, beside the event.
    pub limit: String,
    /// Of a template.
    pub name: String,
    pub language: String,
    /// Why, in Meta's words.
    pub reason: String,
    /// From what to what.
    pub old: String,
    pub new: String,
    /// Until when, as Meta writes it.
    pub until: String,
    /// Everything else that says something, by key.
    pub more: Vec<(String, String)>,
}

impl News {
    /// What a person needs beyond the one line: empty when that says all.
    pub fn details(&self) -> String {
        let mut parts = Vec::new();
        if !self.name.is_empty() {
            parts.push(format!("template {} ({})", self.name, self.language));
        }
        if !self.reason.is_empty() {
            parts.push(format!("because {}", self.reason));
        }
        if !self.old.is_empty() || !self.new.is_empty() {
            let side = |text: &str| if text.is_empty() { "?".to_owned() } else { text.to_owned() };
            parts.push(format!("{} → {}", side(&self.old), side(&self.new)));
        }
        if !self.until.is_empty() {
            parts.push(format!("until {}", self.until));
        }
        let more = self.more.iter().map(|(key, text)| format!("{key} = {text}"));
        parts.extend(more);
        parts.join("; ")
    }

    /// The same for a log: without what may be personal.
    pub fn scrubbed(&self) -> String {
        crate::words::scrubbed(&self.details(), "")
    }
}

impl fmt::Display for News {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.event)?;
        if self.limit.is_empty() { Ok(()) } else { write!(f, " {}", self.limit) }
    }
}

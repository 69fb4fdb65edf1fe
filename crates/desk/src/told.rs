//! What an act says to whoever asked for it: the same words on the command line, in an API's answer
//! and on a console's page.

/// The answer to what somebody asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    Yes,
    No,
}

impl Answer {
    pub fn from_bool(yes: bool) -> Self {
        if yes { Answer::Yes } else { Answer::No }
    }

    /// No, if either is no.
    #[must_use]
    pub fn and(self, other: Answer) -> Self {
        Answer::from_bool(self == Answer::Yes && other == Answer::Yes)
    }
}

/// Words for a person, a line each, and the answer that they come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    pub lines: Vec<String>,
    pub answer: Answer,
}

impl Default for Told {
    fn default() -> Self {
        Told { lines: Vec::new(), answer: Answer::Yes }
    }
}

impl Told {
    pub fn yes(line: impl Into<String>) -> Self {
        Told { lines: vec![line.into()], answer: Answer::Yes }
    }

    pub fn no(line: impl Into<String>) -> Self {
        Told { lines: vec![line.into()], answer: Answer::No }
    }

    pub fn say(&mut self, line: impl Into<String>) {
        self.lines.push(line.into());
    }

    /// The words so far, and this answer.
    #[must_use]
    pub fn with(mut self, answer: Answer) -> Self {
        self.answer = answer;
        self
    }
}

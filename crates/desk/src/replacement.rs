//! What an import changes.

use std::fmt;

/// What an import changes, by id.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Replacement {
    pub added: usize,
    pub removed: usize,
    pub changed: usize,
    pub same: usize,
    /// Stored rows that cannot be read.
    pub damaged: usize,
}

impl fmt::Display for Replacement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Replacement { added, removed, changed, same, damaged } = self;
        write!(f, "+{added} −{removed} ~{changed} ={same}")?;
        if *damaged > 0 {
            write!(f, " ({damaged} stored rows were damaged)")?;
        }
        Ok(())
    }
}

//! A fault that goes on is said once, and once more with a count when it is over.

/// What a loop met last.
#[derive(Clone, Debug, Default)]
pub struct Fault {
    text: String,
    met: u32,
}

impl Fault {
    /// True when it is to be said: it is new, or another one than before.
    pub fn met(&mut self, text: &str) -> bool {
        self.met = self.met.saturating_add(1);
        let is_new = self.text != text;
        if is_new {
            text.clone_into(&mut self.text);
        }
        is_new
    }

    /// How often something failed since it worked last; `None` when nothing did.
    pub fn over(&mut self) -> Option<u32> {
        self.text.clear();
        Some(std::mem::take(&mut self.met)).filter(|met| *met > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_said_once_and_counted() {
        let mut fault = Fault::default();
        assert_eq!(fault.over(), None);
        let said: Vec<bool> =
            ["refused", "refused", "timed out", "timed out"].map(|t| fault.met(t)).into();
        assert_eq!(said, [true, false, true, false]);
        assert_eq!(fault.over(), Some(4));
        assert!(fault.met("refused") && fault.over() == Some(1));
    }
}

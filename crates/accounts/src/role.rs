//! What each role may do. Pure.

use std::fmt;
use std::str::FromStr;

/// What an operator is, from the least to the most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Looks at everything but numbers in full.
    Viewer,
    /// Makes content and lists of recipients, approves content, hands templates in.
    Content,
    /// Runs the mornings: runs, deliveries, numbers, templates in place of others, consents.
    Operator,
    /// All of it, and who may do what.
    Admin,
}

/// A kind of act.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Permission {
    /// Reports, lists, plans, the audit.
    Look,
    /// Numbers and names in full; each look is noted.
    Reveal,
    /// Imports of content and recipients, drafts of templates.
    Write,
    /// Runs, deliveries, numbers, substitutes, consents.
    Act,
    /// Operators, keys, tenants.
    Administer,
}

impl Role {
    pub const ALL: [Role; 4] = [Role::Viewer, Role::Content, Role::Operator, Role::Admin];

    pub const fn as_str(self) -> &'static str {
        match self {
            Role::Viewer => "viewer",
            Role::Content => "content",
            Role::Operator => "operator",
            Role::Admin => "admin",
        }
    }

    pub const fn may(self, what: Permission) -> bool {
        use Permission::{Act, Administer, Look, Reveal, Write};
        match self {
            Role::Viewer => matches!(what, Look),
            Role::Content => matches!(what, Look | Write),
            Role::Operator => matches!(what, Look | Reveal | Write | Act),
            Role::Admin => matches!(what, Look | Reveal | Write | Act | Administer),
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("role {0:?}: expected viewer, content, operator or admin")]
pub struct BadRole(String);

impl FromStr for Role {
    type Err = BadRole;

    fn from_str(text: &str) -> Result<Self, BadRole> {
        let found = Role::ALL.into_iter().find(|role| role.as_str() == text);
        found.ok_or_else(|| BadRole(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_role_may_do_what_the_one_below_may_and_more() {
        use Permission::{Act, Administer, Look, Reveal, Write};
        let all = [Look, Reveal, Write, Act, Administer];
        for pair in Role::ALL.windows(2) {
            let of = |role: Role| all.iter().filter(|what| role.may(**what)).count();
            assert!(of(pair[0]) < of(pair[1]), "{} and {}", pair[0], pair[1]);
            let lost = all.iter().any(|what| pair[0].may(*what) && !pair[1].may(*what));
            assert!(!lost, "{} may something that {} may not", pair[0], pair[1]);
        }
        assert!(!Role::Viewer.may(Reveal) && !Role::Content.may(Act));
        assert!(Role::ALL.iter().filter(|role| role.may(Administer)).eq([&Role::Admin]));
    }

    #[test]
    fn a_role_is_read_as_it_is_written_and_nothing_else_is_one() {
        for role in Role::ALL {
            assert_eq!(role.as_str().parse(), Ok(role));
        }
        for text in ["", "Admin", "root", " admin", "superuser"] {
            assert!(text.parse::<Role>().is_err(), "{text:?}");
        }
    }
}

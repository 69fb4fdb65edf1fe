//! Why somebody is not let in, or an account is not changed.

use records::RecordsError;

pub type Result<T> = std::result::Result<T, AccountsError>;

#[derive(Debug, thiserror::Error)]
pub enum AccountsError {
    /// The same words for every reason: whoever guesses learns nothing.
    #[error("the key or session is not valid")]
    NotLetIn,
    #[error("operator {name:?}: expected 1 to 64 small letters, digits, - or _")]
    BadName { name: String },
    #[error("there is no operator {name}")]
    NoOperator { name: String },
    #[error("operator {name} is there already")]
    ThereAlready { name: String },
    #[error("operator {name} is disabled")]
    Disabled { name: String },
    /// Nobody could put it right any more.
    #[error("{name} is the last admin: make another one first")]
    LastAdmin { name: String },
    #[error("there is no key {id}")]
    NoKey { id: String },
    #[error("a key of {operator}, who is {role}, cannot be one for {wanted}")]
    MoreThanRole { operator: String, role: &'static str, wanted: &'static str },
    #[error(transparent)]
    Records(#[from] RecordsError),
}

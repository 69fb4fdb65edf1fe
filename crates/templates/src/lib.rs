//! What we say.
//!
//! [`call`] is a template filled in for one recipient, [`definition`] what the template
//! expects, [`mod@clean`] what Meta refuses inside a parameter. Pure: checked when a run is
//! planned, so that nothing is found out at 06:00.

pub mod call;
pub mod clean;
pub mod definition;
pub mod lint;

pub use call::{ButtonCall, Header, Media, MediaKind, Param, TemplateCall};
pub use clean::{CleanError, clean};
pub use definition::{BadCall, ParameterFormat, TemplateDefinition};

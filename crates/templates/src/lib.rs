//! What we say.
//!
//! A [`TemplateCall`] is a template filled in for one recipient, [`definition`] says what the
//! template expects, [`mod@clean`] what Meta refuses inside a parameter. Pure: checked when a run is
//! planned, so that nothing is found out at 06:00.

pub mod clean;
pub mod definition;
pub mod draft;
pub mod lint;
pub mod review;

pub use clean::{CleanError, clean};
pub use definition::{BadCall, ParameterFormat, TemplateDefinition, variables};
pub use domain::outbound::{ButtonCall, Header, Media, MediaKind, Param, TemplateCall};

//! Template families: what is written down of them, what Meta has, and what follows.
//!
//! A **family** (`daily_pack`) has **versions**, each a name of its own at Meta (`daily_pack_v2`) that
//! is never edited, and a version has **translations**. [`files`] reads and writes them as files under
//! version control, [`submission`] says what handing one in would do, [`advice`] what a status means
//! and what to do about it, [`rotation`] which version goes when the planned one cannot.

pub mod advice;
pub mod files;
pub mod rotation;
pub mod submission;

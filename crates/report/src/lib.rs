//! Report primitives: numbers as people read them, plain tables, and the parts of an HTML page.
//!
//! # What it is
//!
//! [`text`] lays numbers and tables out for a terminal. With the feature `html`, [`html`] frames a
//! page that needs nothing else (no script, no request, light and dark), [`plot`] draws on two axes
//! and [`colour`] gives both the same roles.
//!
//! # What it never does
//!
//! It knows nothing of what is reported: plain numbers and words in, text out. No I/O, no clock.

#![forbid(unsafe_code)]

#[cfg(feature = "html")]
pub mod colour;
#[cfg(feature = "html")]
pub mod html;
#[cfg(feature = "html")]
pub mod plot;
pub mod text;

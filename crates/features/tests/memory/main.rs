//! The context's memory: rows of windows and horizons, what is kept, and what is forgotten.

mod limits;
mod restart;
mod rows;
mod standing;
mod support;

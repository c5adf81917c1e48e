//! The detection study: what is found in captures that nobody here made, and what is cried over.
//!
//! [`corpus`] says which captures there are and what is known of them; [`replay`] makes windows
//! of them as the protected host would see them; [`capture`] holds these with their rows. [`learn`] fits
//! a model to some; [`budget`] asks of the rows of others what is found where so few benign remotes
//! may ever alarm, and [`score`] puts their windows through detector and policy.
//!
//! The parts of the study: [`own`], the lab's captures; [`made`], made-up networks; [`folds`], the captures
//! of others; [`curve`], the same as more is learnt; [`worth`], the prior's. The binary `weir-detection`
//! runs them and prints the tables of `docs/detection.md`.

pub mod budget;
pub mod capture;
pub mod corpus;
pub mod curve;
pub mod folds;
pub mod learn;
pub mod made;
pub mod own;
pub mod replay;
pub mod score;
pub mod worth;

//! The commands that talk to a running node, against a fake one. No root, no kernel programs.

mod asking;
mod nobody;
mod steering;
mod support;
mod terminal;
mod token;
mod top;

//! Decisions on an hour of the lab's traffic, and on floods from others' captures.
//!
//! All tests replay, in the captures' own time: no packet is sent, no privilege is needed. The
//! tables that the tests print are quoted in `docs/decisions.md`:
//!
//! ```sh
//! cargo test -p weir --test proof -- --nocapture --test-threads 1
//! ```

mod first_minutes;
mod floods;
mod gate;
mod guesses;
mod hosts;
mod hour;
mod learning;
mod outages;
mod poisoning;
mod protected;
mod protection;
mod scene;
mod search;
mod sites;
mod soak;
mod table;
mod traffic;
mod trust;

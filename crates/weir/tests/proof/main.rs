//! What weir does with an hour of the lab's traffic, and with floods that others captured.
//!
//! All of it is replay, in the time of the captures: nothing is sent, nobody has to be root. The
//! tables that the tests print are quoted in `docs/decisions.md`:
//!
//! ```sh
//! cargo test -p weir --test proof -- --nocapture --test-threads 1
//! ```

mod floods;
mod gate;
mod hour;
mod protected;
mod protection;
mod scene;
mod table;
mod traffic;

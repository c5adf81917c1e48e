//! The closed sets of words, as files and the API have them.

use weir_events::{ActionTaken, Mode, Origin};

fn main() -> Result<(), serde_json::Error> {
    println!("modes:         {}", serde_json::to_string(&Mode::ALL)?);
    println!("origins:       {}", serde_json::to_string(&Origin::ALL)?);
    println!("actions taken: {}", serde_json::to_string(&ActionTaken::ALL)?);
    Ok(())
}

//! Counts the entries of a list on standard input and names its bad lines.

use std::io;

use weir_address_list::{Options, ReadError, Reader};

fn main() -> Result<(), ReadError> {
    let mut reader = Reader::new(io::stdin().lock(), Options::default());
    let mut entries = 0;
    while let Some(line) = reader.next_line()? {
        match line.entry {
            Ok(_) => entries += 1,
            Err(error) => println!("line {}: {error}", line.number),
        }
    }
    println!("{entries} entries");
    Ok(())
}

//! Prints the page of the configuration, as docs/configuration.md is.

fn main() {
    print!("{}", collector::config::reference());
}

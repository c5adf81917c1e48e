//! Prints the table of the metrics, as docs/metrics.md has it.

fn main() {
    print!("{}", control::metrics::table());
}

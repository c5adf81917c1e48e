//! The windows of captures: `cargo run -p weir-replay --example windows -- capture.pcap …`.

use std::path::PathBuf;

use weir_replay::{CaptureError, Replay, ReplayOptions};

fn main() -> Result<(), CaptureError> {
    let paths: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    if paths.is_empty() {
        println!("name at least one capture");
        return Ok(());
    }
    let mut replay = Replay::open_all(&paths, ReplayOptions::default())?;
    while let Some(window) = replay.next_window()? {
        let packets: u64 = window.flows.iter().map(|(_, counters)| counters.packets()).sum();
        let (start_s, flows, peers) =
            (window.start_ns / 1_000_000_000, window.flows.len(), window.peers.len());
        println!("{start_s}: {packets} packets in {flows} flows of {peers} peers");
    }
    println!("{:?}", replay.report());
    Ok(())
}

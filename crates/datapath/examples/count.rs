//! The flows of an interface in five windows of a second, as root:
//! `cargo run -p weir-datapath --example count -- eth0`.

use std::time::Duration;

use weir_datapath::{AttachOptions, InterfaceName, Kernel, KernelError, KernelOptions, boot_ns};

fn main() -> Result<(), KernelError> {
    let name = std::env::args().nth(1).unwrap_or_else(|| "lo".to_owned());
    let options =
        KernelOptions { flow_capacity: 16_384, block_capacity: 1_024, ..Default::default() };
    let mut kernel = Kernel::load(&options)?;
    let attached = kernel.attach(&InterfaceName::new(&name)?, AttachOptions::default())?;
    println!("{attached:?}");
    for _ in 0..5 {
        std::thread::sleep(Duration::from_secs(1));
        let window = kernel.drain(boot_ns())?;
        let packets: u64 = window.flows.iter().map(|(_, counters)| counters.packets()).sum();
        let (flows, peers) = (window.flows.len(), window.peers.len());
        println!("{flows} flows, {peers} peers, {packets} packets, {} lost", window.imbalance());
    }
    Ok(())
}

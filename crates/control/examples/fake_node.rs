//! A node without traffic on a socket, to look at `weir top` and to try clients:
//! `cargo run -p control --features fake --example fake_node -- /tmp/weir.sock [127.0.0.1:9187]`

use std::{path::PathBuf, sync::Arc, thread::sleep, time::Duration};

use control::{Limits, Listen, Server, ServerConfig, fake::FakeNode};
use events::ActionTaken;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut words = std::env::args().skip(1);
    let socket = words.next().map(PathBuf::from).ok_or("give the path of a socket")?;
    let listen = match words.next() {
        Some(address) => Some(Listen {
            address: address.parse()?,
            tokens: None,
            reads_open: true,
            metrics_open: false,
        }),
        None => None,
    };
    let node = Arc::new(FakeNode::busy());
    let config = ServerConfig { socket, group: None, listen, limits: Limits::default() };
    let server = Server::start(&config, node.clone())?;
    println!("a fake node listens on {}", server.socket().display());
    for second in 1.. {
        sleep(Duration::from_secs(1));
        node.tick();
        if second % 5 == 0 {
            node.alert("203.0.113.77", ActionTaken::Shadowed);
        }
    }
    Ok(())
}

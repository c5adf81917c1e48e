//! Asking for names.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::time::sleep;

use super::Actor;
use crate::payload::query;
use crate::traffic::wire::DNS;

/// Asks for ever, each time from a port of its own, as resolvers do.
pub(super) async fn ask(actor: &mut Actor, pause: Duration) {
    loop {
        let host = actor.host;
        let id = actor.draw.between(0, u16::MAX);
        let label = actor.draw.between(4, 40);
        actor
            .request(async {
                let socket = fresh_socket(host).await?;
                socket.connect((host, DNS)).await?;
                socket.send(&query(id, label)).await?;
                let mut answer = [0; 2_048];
                loop {
                    let length = socket.recv(&mut answer).await?;
                    if length >= 2 && answer[..2] == id.to_be_bytes() {
                        return Ok(());
                    }
                }
            })
            .await;
        let pause = actor.draw.pause(pause);
        sleep(pause).await;
    }
}

/// A socket of the target's family on a port the kernel chooses.
pub(in crate::traffic) async fn fresh_socket(target: IpAddr) -> io::Result<UdpSocket> {
    let any: IpAddr = match target {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    UdpSocket::bind(SocketAddr::new(any, 0)).await
}

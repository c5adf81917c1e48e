//! Asking for names.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::time::sleep;

use super::Actor;
use crate::traffic::wire::DNS;

/// Asks for ever, each time from a port of its own, as resolvers do.
pub(super) async fn ask(actor: &mut Actor, pause: Duration) {
    loop {
        let host = actor.host;
        let id = actor.draw.between_u16(0, u16::MAX);
        let label = actor.draw.size(4, 40);
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

/// A query for the address of a name under `example`, in DNS's own form (RFC 1035), with labels
/// of at most 63 bytes that make up about `name` bytes.
pub(in crate::traffic) fn query(id: u16, name: usize) -> Vec<u8> {
    let mut query = Vec::with_capacity(32 + name);
    query.extend_from_slice(&id.to_be_bytes());
    // Recursion desired; one question.
    query.extend_from_slice(&[1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    let mut left = name.max(1);
    while left > 0 {
        let label = left.min(63);
        query.push(u8::try_from(label).unwrap_or(63));
        query.extend(std::iter::repeat_n(b'n', label));
        left -= label;
    }
    query.extend_from_slice(b"\x07example\x00\x00\x01\x00\x01");
    query
}

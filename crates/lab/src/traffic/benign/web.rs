//! Browsing: sessions of a few requests with think times between them.

use std::io;
use std::net::IpAddr;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::sleep;

use super::Actor;
use crate::traffic::server::web::{GREETING, read_answer};
use crate::traffic::wire::{HTTPS, skip, write_filler};

/// Requests of one session, at most.
const MOST_REQUESTS: u64 = 8;
/// The bounds of an answer: a redirect, and a large picture.
const ANSWER: (u32, u32) = (600, 400_000);

/// Browses for ever.
pub(super) async fn browse(actor: &mut Actor, port: u16, pause: Duration) {
    loop {
        let requests = actor.draw.between(1, MOST_REQUESTS);
        let mut connection = None;
        for _ in 0..requests {
            let bytes = actor.draw.heavy(ANSWER.0, ANSWER.1);
            let cookie = actor.draw.between(40, 500);
            let host = actor.host;
            let ask = async {
                let mut stream = match connection.take() {
                    Some(stream) => stream,
                    None => connect(host, port).await?,
                };
                get(&mut stream, &bytes.to_string(), cookie).await?;
                read_answer(&mut stream, bytes).await?;
                Ok(stream)
            };
            connection = actor.request(ask).await;
            let pause = actor.draw.pause(pause);
            sleep(pause).await;
        }
    }
}

/// Connects, with a TLS-like exchange on the HTTPS port.
pub(super) async fn connect(host: IpAddr, port: u16) -> io::Result<TcpStream> {
    let mut stream = TcpStream::connect((host, port)).await?;
    stream.set_nodelay(true)?;
    if port == HTTPS {
        let [client, server, finish] = GREETING;
        write_filler(&mut stream, client).await?;
        skip(&mut stream, server).await?;
        write_filler(&mut stream, finish).await?;
    }
    Ok(stream)
}

/// Sends a request whose header is filled up by a cookie.
pub(super) async fn get(stream: &mut TcpStream, path: &str, cookie: usize) -> io::Result<()> {
    let cookie = "c".repeat(cookie);
    let request = format!(
        "GET /{path} HTTP/1.1\r\nHost: host.example\r\nUser-Agent: lab\r\nCookie: {cookie}\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await
}

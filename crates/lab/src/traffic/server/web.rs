//! The web server: `GET /<bytes>` is answered with as many bytes, `GET /<bytes>/<rate>` at no
//! more than that rate in bytes per second.

use std::io;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::IDLE;
use crate::payload::FILLER;
use crate::traffic::wire::{expect, read_header, skip, write_filler};

/// The largest answer.
const MAX_BYTES: u64 = 1_000_000_000;
/// Sizes of a TLS handshake: the client's greeting, the server's with its certificates,
/// the client's finish.
pub(in crate::traffic) const GREETING: [u64; 3] = [517, 3_100, 80];

/// Serves one connection.
pub(super) async fn serve(mut stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    while let Some(header) = timeout(IDLE, read_header(&mut stream)).await?? {
        let Some((bytes, rate)) = asked_for(&header) else {
            return stream
                .write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
                .await;
        };
        stream.write_all(&answer_header(bytes)).await?;
        match rate {
            None => write_filler(&mut stream, bytes).await?,
            Some(rate) => write_paced(&mut stream, bytes, rate).await?,
        }
    }
    Ok(())
}

/// Serves one connection that starts with a TLS-like exchange.
pub(super) async fn serve_behind_a_greeting(mut stream: TcpStream) -> io::Result<()> {
    let [client, server, finish] = GREETING;
    timeout(IDLE, skip(&mut stream, client)).await??;
    write_filler(&mut stream, server).await?;
    timeout(IDLE, skip(&mut stream, finish)).await??;
    serve(stream).await
}

/// The header before an answer of so many bytes.
pub(in crate::traffic) fn answer_header(bytes: u64) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\nServer: lab\r\nContent-Length: {bytes}\r\n\r\n").into_bytes()
}

/// Reads an answer of so many bytes; anything but `200 OK` with that length is an error.
pub(in crate::traffic) async fn read_answer(stream: &mut TcpStream, bytes: u64) -> io::Result<()> {
    expect(stream, &answer_header(bytes)).await?;
    skip(stream, bytes).await
}

/// Sends filler at no more than a rate, in steps of at most 16 KiB.
pub(in crate::traffic) async fn write_paced(
    stream: &mut TcpStream,
    bytes: u64,
    rate: u64,
) -> io::Result<()> {
    let step = FILLER.len() as u64;
    let mut left = bytes;
    let mut ticks = tokio::time::interval(Duration::from_secs_f64(step as f64 / rate as f64));
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    while left > 0 {
        ticks.tick().await;
        let some = left.min(step);
        write_filler(stream, some).await?;
        left -= some;
    }
    Ok(())
}

/// Duration of [`write_paced`] by its own pauses.
pub(in crate::traffic) fn paced_time(bytes: u64, rate: u64) -> Duration {
    let steps = bytes.div_ceil(FILLER.len() as u64).saturating_sub(1);
    Duration::from_secs_f64((steps * FILLER.len() as u64) as f64 / rate as f64)
}

fn asked_for(header: &[u8]) -> Option<(u64, Option<u64>)> {
    let line = std::str::from_utf8(header).ok()?.lines().next()?;
    let path = line.strip_prefix("GET /")?.split(' ').next()?;
    let (bytes, rate) = match path.split_once('/') {
        Some((bytes, rate)) => (bytes, Some(rate.parse().ok().filter(|rate| *rate > 0)?)),
        None => (path, None),
    };
    Some((bytes.parse().ok().filter(|bytes| *bytes <= MAX_BYTES)?, rate))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_says_how_much_and_how_fast() {
        assert_eq!(asked_for(b"GET /1200 HTTP/1.1\r\n\r\n"), Some((1200, None)));
        assert_eq!(asked_for(b"GET /1200/50 HTTP/1.1\r\n\r\n"), Some((1200, Some(50))));
        for wrong in ["GET /1/0 HTTP/1.1", "PUT /1 HTTP/1.1", "GET /x", "", "GET /9999999999"] {
            assert_eq!(asked_for(wrong.as_bytes()), None, "{wrong}");
        }
    }

    #[test]
    fn the_first_step_of_a_paced_answer_costs_no_time() {
        assert_eq!(paced_time(16_384, 16_384), Duration::ZERO);
        assert_eq!(paced_time(16_385, 16_384), Duration::from_secs(1));
    }
}

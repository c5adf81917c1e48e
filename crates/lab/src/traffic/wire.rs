//! The little protocols that servers and clients of the lab speak.
//!
//! They have the shape of the real ones (who speaks first, how much, how often) and none of
//! their meaning.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::payload::FILLER;

/// Web-like traffic.
pub(crate) const HTTP: u16 = 80;
/// Web-like traffic behind a TLS-like exchange.
pub(crate) const HTTPS: u16 = 443;
/// Interactive sessions.
pub(crate) const SSH: u16 = 22;
/// Queries.
pub(crate) const DNS: u16 = 53;
/// Uploads.
pub(crate) const SINK: u16 = 873;
/// Port at which a client collects telemetry.
pub(crate) const TELEMETRY: u16 = 4317;
/// Port at which an attacker takes uploads.
pub(crate) const DROP_SITE: u16 = 443;
/// Port at which an attacker waits for beacons.
pub(crate) const COMMAND: u16 = 8443;

/// Longest message of the interactive protocol.
const MAX_MESSAGE: usize = 16_384;
/// Longest header of the web-like protocol.
const MAX_HEADER: usize = 8_192;

/// Sends `count` bytes of filler.
pub(crate) async fn write_filler(
    stream: &mut (impl AsyncWrite + Unpin),
    mut count: u64,
) -> io::Result<()> {
    while count > 0 {
        let some = usize::try_from(count).unwrap_or(usize::MAX).min(FILLER.len());
        stream.write_all(&FILLER[..some]).await?;
        count -= some as u64;
    }
    Ok(())
}

/// Reads `count` bytes and forgets them.
pub(crate) async fn skip(stream: &mut (impl AsyncRead + Unpin), count: u64) -> io::Result<()> {
    let skipped = tokio::io::copy(&mut stream.take(count), &mut tokio::io::sink()).await?;
    if skipped == count { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}

/// Sends a message with its length before it.
pub(crate) async fn write_message(
    stream: &mut (impl AsyncWrite + Unpin),
    message: &[u8],
) -> io::Result<()> {
    let length = u16::try_from(message.len()).map_err(io::Error::other)?;
    let mut framed = Vec::with_capacity(2 + message.len());
    framed.extend_from_slice(&length.to_be_bytes());
    framed.extend_from_slice(message);
    stream.write_all(&framed).await
}

/// Reads a message.
pub(crate) async fn read_message(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Vec<u8>> {
    let length = usize::from(stream.read_u16().await?);
    if length > MAX_MESSAGE {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut message = vec![0; length];
    stream.read_exact(&mut message).await?;
    Ok(message)
}

/// Reads what the other side always says first, and nothing beyond it; anything else is an error.
pub(crate) async fn expect(
    stream: &mut (impl AsyncRead + Unpin),
    expected: &[u8],
) -> io::Result<()> {
    let mut said = vec![0; expected.len()];
    stream.read_exact(&mut said).await?;
    if said == expected { Ok(()) } else { Err(io::ErrorKind::InvalidData.into()) }
}

/// Reads up to the empty line that ends a header; nothing if the other side left before one.
pub(crate) async fn read_header(
    stream: &mut (impl AsyncRead + Unpin),
) -> io::Result<Option<Vec<u8>>> {
    let mut header = Vec::with_capacity(512);
    let mut byte_block = [0; 1024];
    loop {
        let count = stream.read(&mut byte_block).await?;
        if count == 0 {
            return if header.is_empty() {
                Ok(None)
            } else {
                Err(io::ErrorKind::UnexpectedEof.into())
            };
        }
        header.extend_from_slice(&byte_block[..count]);
        // Neither side sends anything beyond a header before it was answered.
        if header.ends_with(b"\r\n\r\n") {
            return Ok(Some(header));
        }
        if header.len() > MAX_HEADER {
            return Err(io::ErrorKind::InvalidData.into());
        }
    }
}

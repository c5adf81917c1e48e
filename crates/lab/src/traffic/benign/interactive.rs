//! Someone types in a session that stays open.

use std::io;
use std::net::IpAddr;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::sleep;

use super::Actor;
use crate::payload::FILLER;
use crate::traffic::server::ssh::{BANNER, KEY_EXCHANGE, PASSWORD, WELCOME};
use crate::traffic::wire::{SSH, expect, read_message, write_message};

/// Bytes of a keystroke's message, as SSH pads it.
const KEYSTROKE: usize = 36;
/// Keystrokes to one enter, which brings more than an echo.
const LINE: u64 = 12;

/// Types for ever, in as few sessions as can be.
pub(super) async fn type_on(actor: &mut Actor, pause: Duration) {
    loop {
        let host = actor.host;
        let mut session = actor.request(log_in(host, PASSWORD)).await;
        while let Some(mut stream) = session {
            let wait = actor.draw.pause(pause);
            sleep(wait).await;
            let echo = if actor.draw.between(1, LINE) == LINE {
                actor.draw.between(100, 3_000)
            } else {
                u16::try_from(KEYSTROKE).unwrap_or(u16::MAX)
            };
            session = actor
                .request(async {
                    let mut keystroke = [b'k'; KEYSTROKE];
                    keystroke[..2].copy_from_slice(&echo.to_be_bytes());
                    write_message(&mut stream, &keystroke).await?;
                    read_message(&mut stream).await?;
                    Ok(stream)
                })
                .await;
        }
    }
}

/// Logs in; a wrong password is an error.
async fn log_in(host: IpAddr, password: &[u8]) -> io::Result<TcpStream> {
    let mut stream = greet(host).await?;
    if try_password(&mut stream, password).await? {
        Ok(stream)
    } else {
        Err(io::ErrorKind::PermissionDenied.into())
    }
}

/// Connects and gets as far as the password.
pub(in crate::traffic) async fn greet(host: IpAddr) -> io::Result<TcpStream> {
    let mut stream = TcpStream::connect((host, SSH)).await?;
    stream.set_nodelay(true)?;
    expect(&mut stream, BANNER).await?;
    stream.write_all(BANNER).await?;
    write_message(&mut stream, &FILLER[..KEY_EXCHANGE]).await?;
    read_message(&mut stream).await?;
    Ok(stream)
}

/// Tries one password.
pub(in crate::traffic) async fn try_password(
    stream: &mut TcpStream,
    password: &[u8],
) -> io::Result<bool> {
    write_message(stream, password).await?;
    Ok(read_message(stream).await? == WELCOME)
}

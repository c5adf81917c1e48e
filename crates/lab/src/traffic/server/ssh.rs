//! The login server: banners, a key exchange's worth of bytes, then logins, then echoes.

use std::io;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use super::IDLE;
use crate::payload::FILLER;
use crate::traffic::wire::{expect, read_message, write_message};

/// First message of both sides.
pub(in crate::traffic) const BANNER: &[u8] = b"SSH-2.0-lab_1.0\r\n";
/// Bytes each side sends to exchange keys.
pub(in crate::traffic) const KEY_EXCHANGE: usize = 1_100;
/// The password that opens the door.
pub(in crate::traffic) const PASSWORD: &[u8] = b"open sesame and pad it to some plausible length";
/// The answer to the right password.
pub(in crate::traffic) const WELCOME: &[u8] = b"welcome";
/// Wrong passwords before the server hangs up.
pub(in crate::traffic) const TRIES: usize = 3;

/// Time that checking a password takes.
const CHECKING: Duration = Duration::from_millis(20);

/// Serves one connection. A message's first two bytes say how long the echo shall be.
pub(super) async fn serve(mut stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    stream.write_all(BANNER).await?;
    timeout(IDLE, expect(&mut stream, BANNER)).await??;
    timeout(IDLE, read_message(&mut stream)).await??;
    write_message(&mut stream, &FILLER[..KEY_EXCHANGE]).await?;
    if !is_let_in(&mut stream).await? {
        return Ok(());
    }
    loop {
        let message = timeout(IDLE, read_message(&mut stream)).await??;
        let [high, low, ..] = message[..] else { return Ok(()) };
        let length = usize::from(u16::from_be_bytes([high, low])).min(FILLER.len());
        write_message(&mut stream, &FILLER[..length]).await?;
    }
}

async fn is_let_in(stream: &mut TcpStream) -> io::Result<bool> {
    for _ in 0..TRIES {
        let password = timeout(IDLE, read_message(stream)).await??;
        sleep(CHECKING).await;
        if password == PASSWORD {
            write_message(stream, WELCOME).await?;
            return Ok(true);
        }
        write_message(stream, b"permission denied, please try again").await?;
    }
    Ok(false)
}

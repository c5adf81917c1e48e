//! The sink: takes as many bytes as were announced, and says so.

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::IDLE;
use crate::traffic::wire::skip;

/// The most that is taken in one upload.
const MAX_BYTES: u64 = 1_000_000_000;

/// Serves one connection.
pub(in crate::traffic) async fn serve(mut stream: TcpStream) -> io::Result<()> {
    loop {
        let Ok(announced) = timeout(IDLE, stream.read_u64()).await? else { return Ok(()) };
        if announced > MAX_BYTES {
            return Err(io::ErrorKind::InvalidData.into());
        }
        skip(&mut stream, announced).await?;
        stream.write_u8(1).await?;
    }
}

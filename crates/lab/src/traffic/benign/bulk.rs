//! Bulk transfers, held to a rate.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::sleep;

use super::{Actor, web};
use crate::traffic::server::web::{paced_time, read_answer, write_paced};
use crate::traffic::wire::{HTTP, SINK};

/// Uploads and downloads in turn, for ever.
pub(super) async fn transfer(actor: &mut Actor, mean: u64, rate: u64, pause: Duration) {
    let mut up = actor.draw.between(0, 1) == 1;
    loop {
        let bytes = bytes_around(actor, mean);
        let host = actor.host;
        let paced = paced_time(bytes, rate);
        if up {
            actor
                .request_of(paced, async {
                    let mut stream = TcpStream::connect((host, SINK)).await?;
                    stream.write_u64(bytes).await?;
                    write_paced(&mut stream, bytes, rate).await?;
                    stream.read_u8().await
                })
                .await;
        } else {
            actor
                .request_of(paced, async {
                    let mut stream = web::connect(host, HTTP).await?;
                    web::get(&mut stream, &format!("{bytes}/{rate}"), 40).await?;
                    read_answer(&mut stream, bytes).await
                })
                .await;
        }
        up = !up;
        let pause = actor.draw.pause(pause);
        sleep(pause).await;
    }
}

/// An exponential number of bytes, at least a kilobyte.
fn bytes_around(actor: &mut Actor, mean: u64) -> u64 {
    let drawn = actor.draw.pause(Duration::from_micros(mean)).as_micros();
    u64::try_from(drawn).unwrap_or(mean).max(1_000)
}

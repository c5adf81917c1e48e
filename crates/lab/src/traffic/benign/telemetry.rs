//! The protected host reports to its clients' collectors.

use std::io;
use std::net::IpAddr;
use std::sync::mpsc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::spawn_local;
use tokio::time::sleep;

use super::Actor;
use crate::traffic::crew::Crew;
use crate::traffic::server::{listener, sink};
use crate::traffic::wire::{TELEMETRY, write_filler};
use crate::{Lab, LabError, Node};

/// Reports sent over one connection.
const REPORTS: u64 = 10;

/// Starts a collector in a client's namespace and returns when it listens.
pub(super) fn start_collector(crew: &mut Crew, lab: &Lab, node: &Node) -> Result<(), LabError> {
    let (ready, is_ready) = mpsc::channel();
    crew.spawn_tasks(lab.members(), node, "collector", move || async move {
        let listener = listener(TELEMETRY);
        let (outcome, listener) = match listener {
            Ok(listener) => (Ok(()), Some(listener)),
            Err(error) => (Err(error), None),
        };
        // If no one waits any more, the crew is being stopped.
        let _ = ready.send(outcome);
        let Some(listener) = listener else { return };
        loop {
            if let Ok((stream, _)) = listener.accept().await {
                spawn_local(sink::serve(stream));
            }
        }
    })?;
    let doing = || format!("start the collector of {}", node.name);
    is_ready
        .recv_timeout(Duration::from_secs(10))
        .map_err(|error| LabError::system(doing(), io::Error::other(error)))?
        .map_err(|error| LabError::system(doing(), error))
}

/// Reports for ever.
pub(super) async fn report(actor: &mut Actor, period: Duration) {
    let mut connection: Option<TcpStream> = None;
    let mut sent = 0;
    loop {
        let bytes = actor.draw.between(300, 1_200);
        let collector = actor.client;
        let kept = connection.take();
        connection = actor
            .request(async {
                let mut stream = match kept {
                    Some(stream) => stream,
                    None => connect(collector).await?,
                };
                stream.write_u64(bytes).await?;
                write_filler(&mut stream, bytes).await?;
                stream.read_u8().await?;
                Ok(stream)
            })
            .await;
        sent += 1;
        if sent % REPORTS == 0 {
            connection = None;
        }
        let wait = actor.draw.around(period, 0.1);
        sleep(wait).await;
    }
}

async fn connect(collector: IpAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect((collector, TELEMETRY)).await?;
    // Or each report's second part would wait for the first one's delayed acknowledgement.
    stream.set_nodelay(true)?;
    Ok(stream)
}

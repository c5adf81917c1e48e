//! Connections: accepted, bounded in number and in time, and closed at the end.

use std::{convert::Infallible, future::pending, io, sync::Arc, time::Instant};

use axum::{Router, extract::Request, http::header::HOST, response::Response};
use hyper::{body::Incoming, server::conn::http1, service::Service as _, service::service_fn};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream, UnixListener, UnixStream},
    pin, select,
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    task::JoinSet,
    time::{sleep, timeout},
};

use super::{
    access::{Caller, names_loopback},
    bind::Doors,
    counters::Turned,
    endpoint::{Admitted, problem, router},
    limits::{ACCEPT_REST, GRACE, HEAD_BYTES, HEADERS},
    shared::{Shared, TurnedAway},
    shares::Share,
};
use crate::wire::{Kind, Refused};

/// Answer to a connection that finds no room; it ends with it.
const BUSY: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\n\
    content-length: 0\r\nconnection: close\r\n\r\n";

/// Place of a connection among all, and in the share of its client.
struct Place {
    _room: OwnedSemaphorePermit,
    _share: Option<Share>,
}

/// The listeners, in the runtime that serves them.
pub(super) struct Listeners {
    unix: UnixListener,
    tcp: Option<TcpListener>,
}

impl Listeners {
    /// Takes over what was bound.
    pub(super) fn of(doors: &Doors) -> io::Result<Self> {
        Ok(Self {
            unix: doors.unix.listen()?,
            tcp: doors.tcp.as_ref().map(super::bind::TcpDoor::listen).transpose()?,
        })
    }
}

/// A connection that was accepted.
enum Stream {
    Unix(UnixStream),
    Tcp(TcpStream),
}

/// Serves until it is told to stop, and then until the connections have ended.
pub(super) async fn serve(
    doors: Doors,
    listeners: Listeners,
    shared: Arc<Shared>,
    mut stop: watch::Receiver<bool>,
) {
    let router = router(&shared);
    let local_room = Arc::new(Semaphore::new(shared.limits.connections));
    let remote_room = Arc::new(Semaphore::new(shared.limits.connections));
    let mut connections = JoinSet::new();
    loop {
        let accepted = select! {
            _ = stop.wait_for(|&stop| stop) => break,
            // What has ended is let go of.
            Some(_) = connections.join_next() => continue,
            accepted = listeners.unix.accept() => accepted.map(|(stream, _)| Stream::Unix(stream)),
            accepted = accept(listeners.tcp.as_ref()) => accepted.map(Stream::Tcp),
        };
        let caller = accepted.and_then(|stream| Ok((Caller::of(&stream)?, stream)));
        let Ok((caller, stream)) = caller else {
            shared.counters.turn_away(Turned::Accept);
            sleep(ACCEPT_REST).await;
            continue;
        };
        let room = match caller {
            Caller::Local { .. } => &local_room,
            Caller::Remote(_) => &remote_room,
        };
        // At the socket the kernel says who asks, and their number is small.
        let share = match caller {
            Caller::Local { .. } => Some(None),
            Caller::Remote(_) => shared.shares.take(caller.client()).map(Some),
        };
        let (Some(share), Ok(place)) = (share, Arc::clone(room).try_acquire_owned()) else {
            shared.counters.turn_away(Turned::Connections);
            stream.say_busy();
            continue;
        };
        let place = Place { _room: place, _share: share };
        let (router, shared, stop) = (router.clone(), Arc::clone(&shared), stop.clone());
        connections.spawn(async move {
            match stream {
                Stream::Unix(stream) => attend(stream, caller, place, router, shared, stop).await,
                Stream::Tcp(stream) => attend(stream, caller, place, router, shared, stop).await,
            }
        });
    }
    // The file goes first: whoever comes now is told that no weir runs here.
    drop(listeners);
    drop(doors);
    let ended = async { while connections.join_next().await.is_some() {} };
    // Each connection gives up by itself after the grace.
    let _ = timeout(GRACE * 2, ended).await;
    connections.shutdown().await;
}

async fn accept(listener: Option<&TcpListener>) -> io::Result<TcpStream> {
    match listener {
        Some(listener) => listener.accept().await.map(|(stream, _)| stream),
        None => pending().await,
    }
}

impl Stream {
    /// Says that there is no room, if that can be said without waiting.
    fn say_busy(self) {
        let _ = match self {
            Self::Unix(stream) => stream.try_write(BUSY),
            Self::Tcp(stream) => stream.try_write(BUSY),
        };
    }
}

impl Caller {
    fn of(stream: &Stream) -> io::Result<Self> {
        match stream {
            Stream::Unix(stream) => {
                let peer = stream.peer_cred()?;
                Ok(Self::Local { uid: peer.uid(), gid: peer.gid(), pid: peer.pid() })
            }
            Stream::Tcp(stream) => stream.peer_addr().map(Self::Remote),
        }
    }
}

/// Answers the requests of a connection until it ends, its time is over or the server stops.
async fn attend<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    stream: S,
    caller: Caller,
    _place: Place,
    router: Router,
    shared: Arc<Shared>,
    mut stop: watch::Receiver<bool>,
) {
    let limits = shared.limits;
    let service = service_fn(move |request| {
        let (router, shared) = (router.clone(), Arc::clone(&shared));
        async move { Ok::<_, Infallible>(answer(caller, request, router, &shared).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head_time)
        .max_buf_size(HEAD_BYTES)
        .max_headers(HEADERS)
        .serve_connection(TokioIo::new(stream), service);
    pin!(connection);
    select! {
        // What a client breaks is the client's to mend.
        _ = connection.as_mut() => return,
        () = sleep(limits.connection_time) => {}
        _ = stop.wait_for(|&stop| stop) => {}
    }
    connection.as_mut().graceful_shutdown();
    let _ = timeout(GRACE, connection).await;
}

async fn answer(
    caller: Caller,
    request: hyper::Request<Incoming>,
    router: Router,
    shared: &Shared,
) -> Response {
    let response = match let_in(caller, &request, shared) {
        Ok(permit) => {
            let mut request: Request = request.map(axum::body::Body::new);
            request.extensions_mut().insert(Admitted { caller, permit: Arc::new(permit) });
            let Ok(response) = TowerToHyperService::new(router).call(request).await;
            response
        }
        Err(turned) => problem(turned.refused, Some(turned.retry_after_s)),
    };
    shared.counters.answer(response.status().as_u16());
    response
}

fn let_in(
    caller: Caller,
    request: &hyper::Request<Incoming>,
    shared: &Shared,
) -> Result<OwnedSemaphorePermit, TurnedAway> {
    if !request.headers().contains_key(HOST) {
        shared.counters.turn_away(Turned::Host);
        let refused = Refused::invalid("the header `Host` is missing (RFC 9112 §3.2)");
        return Err(TurnedAway { refused, retry_after_s: 0 });
    }
    let loopback = shared.remote.as_ref().is_some_and(|remote| remote.loopback);
    if loopback && matches!(caller, Caller::Remote(_)) {
        let host = request.headers().get(HOST).and_then(|host| host.to_str().ok());
        if !host.is_some_and(names_loopback) {
            shared.counters.turn_away(Turned::Host);
            let text = "the header `Host` must name the loopback: localhost, 127.0.0.1 or [::1]";
            let refused = Refused::new(Kind::Forbidden, text);
            return Err(TurnedAway { refused, retry_after_s: 0 });
        }
    }
    shared.let_in(&caller, Instant::now())
}

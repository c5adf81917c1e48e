//! A gateway from a browser to a node's Unix socket, for one person: the browser of whoever has the
//! link, once.
//!
//! It listens on the loopback, which every user of the machine reaches. The link's key is good for
//! one session; the node sees who runs the gateway, as with every other command.

use std::{
    convert::Infallible,
    io,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use axum::{
    body::Body,
    http::{
        HeaderName, HeaderValue, Method, Request,
        header::{CONTENT_TYPE, HOST},
    },
    response::Response,
};
use http_body_util::{BodyExt as _, Limited};
use hyper::{body::Incoming, client, server, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use subtle::ConstantTimeEq as _;
use tokio::{
    net::{TcpListener, UnixStream},
    runtime,
    time::sleep,
};

use crate::{
    page,
    server::{ACCEPT_REST, bearer, names_loopback, problem},
    token::NewToken,
    wire::{Kind, Refused},
};

/// Headers that go on to the node.
const FORWARDED: [HeaderName; 2] = [CONTENT_TYPE, HeaderName::from_static("last-event-id")];
const SESSION: &str = "/session";

/// A gateway.
#[derive(Debug)]
pub struct Gateway {
    listener: std::net::TcpListener,
    address: SocketAddr,
    door: Arc<Door>,
}

struct Door {
    socket: PathBuf,
    /// Of the link; good once.
    key: NewToken,
    used: AtomicBool,
    /// Of the browser that used it.
    session: NewToken,
}

impl std::fmt::Debug for Door {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Door").field("socket", &self.socket).finish_non_exhaustive()
    }
}

impl Gateway {
    /// Listens on the loopback; port 0 for any free one.
    ///
    /// # Errors
    /// The port is taken.
    pub fn open(socket: &Path, port: u16) -> io::Result<Self> {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let door = Door {
            socket: socket.to_owned(),
            key: NewToken::random()?,
            used: AtomicBool::new(false),
            session: NewToken::random()?,
        };
        Ok(Self { listener, address, door: Arc::new(door) })
    }

    /// The link, for one browser.
    #[must_use]
    pub fn link(&self) -> String {
        // Behind `#`, where it goes into no log.
        format!("http://{}/#key={}", self.address, self.door.key.text())
    }

    /// Serves, for good.
    ///
    /// # Errors
    /// There is no runtime.
    pub fn serve(self) -> io::Result<Infallible> {
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let listener = TcpListener::from_std(self.listener)?;
            loop {
                let Ok((stream, _)) = listener.accept().await else {
                    // Whoever takes all places lets go of them, or is cut off over its headers.
                    sleep(ACCEPT_REST).await;
                    continue;
                };
                let door = Arc::clone(&self.door);
                let answer = service_fn(move |request| {
                    let door = Arc::clone(&door);
                    async move { Ok::<_, Infallible>(door.answer(request).await) }
                });
                let mut builder = server::conn::http1::Builder::new();
                let connection =
                    builder.timer(TokioTimer::new()).serve_connection(TokioIo::new(stream), answer);
                // What a browser breaks is the browser's to mend.
                tokio::spawn(connection);
            }
        })
    }
}

impl Door {
    async fn answer(&self, request: Request<Incoming>) -> Response {
        self.attempt(request).await.unwrap_or_else(|refused| problem(refused, None))
    }

    async fn attempt(&self, request: Request<Incoming>) -> Result<Response, Refused> {
        let host = request.headers().get(HOST).and_then(|host| host.to_str().ok());
        if !host.is_some_and(names_loopback) {
            let text = "the header `Host` must name the loopback: localhost, 127.0.0.1 or [::1]";
            return Err(Refused::new(Kind::Forbidden, text));
        }
        let path = request.uri().path();
        if request.method() == Method::GET
            && let Some((_, kind, text)) = page::FILES.iter().find(|file| file.0 == path)
        {
            return Ok(page::answer(kind, text));
        }
        if path == SESSION && request.method() == Method::POST {
            return self.open_session(request).await;
        }
        let session = bearer(request.headers())?.unwrap_or_default();
        if !is_same(session, &self.session) {
            let text = "this page belongs to another link; `weir page` prints a new one";
            return Err(Refused::new(Kind::Unauthorized, text));
        }
        self.forward(request).await
    }

    async fn open_session(&self, request: Request<Incoming>) -> Result<Response, Refused> {
        let unknown = || {
            let text = "the link was used already, or is none; `weir page` prints a new one";
            Refused::new(Kind::Forbidden, text)
        };
        let body = Limited::new(request.into_body(), 256).collect().await.map_err(|_| unknown())?;
        let body = body.to_bytes();
        let key = std::str::from_utf8(&body).map_err(|_| unknown())?;
        if !is_same(key, &self.key) || self.used.swap(true, Ordering::Relaxed) {
            return Err(unknown());
        }
        Ok(Response::new(Body::from(self.session.text().to_owned())))
    }

    /// Asks the node the same, as who runs the gateway.
    async fn forward(&self, request: Request<Incoming>) -> Result<Response, Refused> {
        let gone = |why: &dyn std::fmt::Display| {
            Refused::unavailable(format!("`{}`: {why}", self.socket.display()))
        };
        let stream = UnixStream::connect(&self.socket).await.map_err(|error| gone(&error))?;
        let (mut sender, connection) = client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| gone(&error))?;
        tokio::spawn(connection);
        let target = request.uri().path_and_query().map_or("/", |target| target.as_str());
        let mut asked = Request::builder().method(request.method()).uri(target);
        for name in FORWARDED {
            if let Some(value) = request.headers().get(&name) {
                asked = asked.header(name, value);
            }
        }
        let asked = asked
            .header(HOST, HeaderValue::from_static("localhost"))
            .body(request.into_body())
            .map_err(|error| gone(&error))?;
        Ok(sender.send_request(asked).await.map_err(|error| gone(&error))?.map(Body::new))
    }
}

fn is_same(text: &str, token: &NewToken) -> bool {
    text.as_bytes().ct_eq(token.text().as_bytes()).into()
}

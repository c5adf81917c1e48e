//! Syslog: RFC 5424 over UDP (RFC 5426), TCP (RFC 6587, octet counting) and TLS (RFC 5425).
//!
//! Syslog has no acknowledgement: what a connection held when it broke may be lost, and over UDP
//! anything may be.

use std::{
    io::{self, Write},
    net::{TcpStream, ToSocketAddrs as _, UdpSocket},
    path::Path,
    sync::Arc,
};

use rustls::{ClientConfig, ClientConnection, StreamOwned};

use super::{PATIENCE, SendError, Sink, target::Transport, tls};
use crate::{format::Record, told::Severity};

/// Facility `local0`.
const FACILITY: u8 = 16;

/// Sends records to a syslog server.
pub(super) struct Syslog {
    transport: Transport,
    address: String,
    host: String,
    tls: Option<Arc<ClientConfig>>,
    connection: Option<Connection>,
}

enum Connection {
    Udp(UdpSocket),
    Tcp(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Syslog {
    pub(super) fn new(
        transport: Transport,
        address: &str,
        host: String,
        authorities: Option<&Path>,
    ) -> Result<Self, SendError> {
        let tls = (transport == Transport::Tls).then(|| tls::config(authorities)).transpose()?;
        Ok(Self { transport, address: address.to_owned(), host, tls, connection: None })
    }

    fn connect(&self) -> io::Result<Connection> {
        let named =
            |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", self.address));
        let mut addresses = self.address.to_socket_addrs().map_err(named)?;
        let address = addresses.next().ok_or_else(|| {
            io::Error::new(io::ErrorKind::NotFound, format!("{} has no address", self.address))
        })?;
        if self.transport == Transport::Udp {
            let any = if address.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
            let socket = UdpSocket::bind(any)?;
            socket.connect(address).map_err(named)?;
            return Ok(Connection::Udp(socket));
        }
        let stream = TcpStream::connect_timeout(&address, PATIENCE).map_err(named)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let Some(config) = &self.tls else { return Ok(Connection::Tcp(stream)) };
        let name = self.address.rsplit_once(':').map_or(self.address.as_str(), |(name, _)| name);
        let mut stream = tls::connect(config, name, stream)?;
        // The server's certificate is looked at now, and not when the first record is under way.
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock).map_err(named)?;
        }
        Ok(Connection::Tls(Box::new(stream)))
    }

    fn message(&self, record: &Record) -> String {
        let severity = match record.severity {
            Severity::High => 3,
            Severity::Medium => 4,
            Severity::Low => 5,
            Severity::Informational => 6,
        };
        format!(
            "<{}>1 {} {} weir - {} - {}",
            FACILITY * 8 + severity,
            record.time.strftime("%Y-%m-%dT%H:%M:%S%.6fZ"),
            self.host,
            record.name,
            record.text
        )
    }
}

impl Sink for Syslog {
    fn send(&mut self, records: &[Record]) -> Result<(), SendError> {
        let open = self.connection.take().filter(Connection::stands);
        let mut connection = open.map_or_else(|| self.connect(), Ok)?;
        let messages: Vec<String> = records.iter().map(|record| self.message(record)).collect();
        connection.write(&messages)?;
        self.connection = Some(connection);
        Ok(())
    }
}

impl Connection {
    /// False where the server has closed it: what is written then would be lost.
    fn stands(&self) -> bool {
        let stream = match self {
            Self::Udp(_) => return true,
            Self::Tcp(stream) => stream,
            Self::Tls(stream) => &stream.sock,
        };
        let looked = stream.set_nonblocking(true).and_then(|()| stream.peek(&mut [0]));
        let again = stream.set_nonblocking(false);
        let open = match looked {
            Ok(read) => read > 0,
            Err(error) => error.kind() == io::ErrorKind::WouldBlock,
        };
        open && again.is_ok()
    }

    fn write(&mut self, messages: &[String]) -> Result<(), SendError> {
        let framed = || -> Vec<u8> {
            let frame = |message: &String| format!("{} {message}", message.len());
            messages.iter().map(frame).collect::<String>().into_bytes()
        };
        match self {
            Self::Udp(socket) => {
                for message in messages {
                    socket.send(message.as_bytes()).map_err(|error| {
                        match error.raw_os_error() {
                            Some(libc::EMSGSIZE) => SendError::Never(format!(
                                "an event of {} bytes is larger than a datagram",
                                message.len()
                            )),
                            _ => SendError::Later(error),
                        }
                    })?;
                }
            }
            Self::Tcp(stream) => stream.write_all(&framed())?,
            Self::Tls(stream) => {
                stream.write_all(&framed())?;
                stream.flush()?;
            }
        }
        Ok(())
    }
}

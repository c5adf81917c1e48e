//! The journal of this machine, by its native protocol.

use std::{io, os::unix::net::UnixDatagram};

use super::{SendError, Sink};
use crate::{format::Record, told::Severity};

const SOCKET: &str = "/run/systemd/journal/socket";

/// Sends records to the journal.
#[derive(Default)]
pub(super) struct Journald {
    socket: Option<UnixDatagram>,
}

impl Sink for Journald {
    fn send(&mut self, records: &[Record]) -> Result<(), SendError> {
        let open = self.socket.take();
        let socket = open.map_or_else(connect, Ok)?;
        for record in records {
            socket.send(&datagram(record)).map_err(|error| match error.raw_os_error() {
                Some(libc::EMSGSIZE) => SendError::Never(format!(
                    "an event of {} bytes is larger than a datagram",
                    record.text.len()
                )),
                _ => SendError::Later(error),
            })?;
        }
        self.socket = Some(socket);
        Ok(())
    }
}

fn connect() -> io::Result<UnixDatagram> {
    let socket = UnixDatagram::unbound()?;
    socket.connect(SOCKET).map_err(|error| {
        io::Error::new(error.kind(), format!("no journal listens on {SOCKET}: {error}"))
    })?;
    Ok(socket)
}

fn datagram(record: &Record) -> Vec<u8> {
    let priority = match record.severity {
        Severity::High => 3,
        Severity::Medium => 4,
        Severity::Low => 5,
        Severity::Informational => 6,
    };
    // A line never holds a line's end: it is one of JSON or CEF.
    format!(
        "SYSLOG_IDENTIFIER=weir\nPRIORITY={priority}\nWEIR_EVENT={}\nMESSAGE={}\n",
        record.name, record.text
    )
    .into_bytes()
}

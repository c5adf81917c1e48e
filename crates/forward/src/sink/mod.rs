//! Sinks: where records go.

mod http;
mod journald;
mod lines;
mod syslog;
mod target;
mod tls;

pub use target::{Target, TargetError};

use std::{io, path::Path, time::Duration};

use crate::format::{Observer, Record};

/// Longest time that a sink may take to connect, and for a batch.
const PATIENCE: Duration = Duration::from_secs(10);

/// Reason for which records were not taken.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// They may be taken later.
    #[error(transparent)]
    Later(#[from] io::Error),
    /// They never will.
    #[error("{0}")]
    Never(String),
}

/// Takes records.
pub trait Sink: Send {
    /// Takes records in their order: all, or it is to be asked again for all.
    ///
    /// # Errors
    /// They were not taken.
    fn send(&mut self, records: &[Record]) -> Result<(), SendError>;
}

impl Target {
    /// The sink; nothing is connected to yet.
    ///
    /// # Errors
    /// A certificate cannot be read, or a token would be sent unencrypted.
    pub fn sink(
        &self,
        observer: &Observer,
        is_json: bool,
        authorities: Option<&Path>,
        token: Option<&str>,
    ) -> Result<Box<dyn Sink>, SendError> {
        Ok(match self {
            Self::Output => Box::new(lines::Lines::output()),
            Self::File(path) => Box::new(lines::Lines::file(path)),
            Self::Journald => Box::new(journald::Journald::default()),
            Self::Syslog { transport, address } => {
                let host = observer.host.clone();
                Box::new(syslog::Syslog::new(*transport, address, host, authorities)?)
            }
            Self::Http { url } => Box::new(http::Webhook::new(url, is_json, authorities, token)?),
            Self::Otlp { url } => Box::new(http::Otlp::new(url, observer, authorities, token)?),
        })
    }
}

//! Server-sent events, read (WHATWG HTML, 9.2), as this server writes them.

use serde::Deserialize;

/// Bytes of one event at the most.
const MOST: usize = 16 * 1_024 * 1_024;

/// Something that the stream of events said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Followed {
    /// An event, as one line of JSON.
    Event {
        /// Its id: [`EventsQuery::after`](crate::wire::EventsQuery) to go on behind it.
        id: String,
        /// The line.
        json: String,
    },
    /// Events before the next one are not kept any more.
    Gap {
        /// As of an event.
        id: String,
        /// Number of them; not known where the node was started anew.
        missed: Option<u64>,
    },
    /// The node went away, or cannot be read; it is looked for again.
    Away {
        /// The error.
        why: String,
    },
    /// It is back.
    Back,
}

impl Followed {
    pub(super) fn id(&self) -> Option<&str> {
        match self {
            Self::Event { id, .. } | Self::Gap { id, .. } => Some(id),
            Self::Away { .. } | Self::Back => None,
        }
    }
}

#[derive(Deserialize)]
struct Gap {
    missed: Option<u64>,
}

/// Reader of a stream, piece by piece.
#[derive(Debug, Default)]
pub(super) struct EventStream {
    /// The line that has not ended.
    line: Vec<u8>,
    id: String,
    name: String,
    data: String,
}

impl EventStream {
    /// What ends within these bytes.
    ///
    /// # Errors
    /// A reason, where this is no stream of events.
    pub(super) fn take(&mut self, bytes: &[u8]) -> Result<Vec<Followed>, String> {
        let mut ended = Vec::new();
        for part in bytes.split_inclusive(|&byte| byte == b'\n') {
            if self.line.len() + self.data.len() + part.len() > MOST {
                return Err(format!("an event is longer than {MOST} bytes"));
            }
            self.line.extend_from_slice(part);
            if part.ends_with(b"\n") {
                let line = std::mem::take(&mut self.line);
                let line = std::str::from_utf8(&line).map_err(|error| error.to_string())?;
                ended.extend(self.end_line(line.trim_end_matches(['\r', '\n']))?);
            }
        }
        Ok(ended)
    }

    fn end_line(&mut self, line: &str) -> Result<Option<Followed>, String> {
        if line.is_empty() {
            return self.end_event();
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "id" => value.clone_into(&mut self.id),
            "event" => value.clone_into(&mut self.name),
            "data" => self.data.push_str(value),
            // A comment, or when to come back.
            _ => {}
        }
        Ok(None)
    }

    fn end_event(&mut self) -> Result<Option<Followed>, String> {
        let (name, json) = (std::mem::take(&mut self.name), std::mem::take(&mut self.data));
        let id = self.id.clone();
        match name.as_str() {
            _ if json.is_empty() => Ok(None),
            "gap" => {
                let gap: Gap = serde_json::from_str(&json).map_err(|error| error.to_string())?;
                Ok(Some(Followed::Gap { id, missed: gap.missed }))
            }
            "" => Ok(Some(Followed::Event { id, json })),
            // A kind that only another version knows.
            _ => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_read_wherever_they_are_cut() {
        let text = "retry: 1000\n\nid: a-1\ndata: {\"event\":\"window\"}\n\n:\n\n\
                    event: gap\nid: a-4\ndata: {\"missed\":3}\n\nevent: news\ndata: x\n\n\
                    id: b-0\nevent: gap\ndata: {\"missed\":null}\r\n\r\n";
        let expected = [
            Followed::Event { id: "a-1".into(), json: r#"{"event":"window"}"#.into() },
            Followed::Gap { id: "a-4".into(), missed: Some(3) },
            Followed::Gap { id: "b-0".into(), missed: None },
        ];
        for size in 1..text.len() {
            let mut stream = EventStream::default();
            let pieces = text.as_bytes().chunks(size);
            let read: Vec<Followed> =
                pieces.flat_map(|piece| stream.take(piece).unwrap()).collect();
            assert_eq!(read, expected, "in pieces of {size}");
        }
    }

    #[test]
    fn what_is_no_stream_of_events_is_refused() {
        assert!(EventStream::default().take(b"event: gap\ndata: 7\n\n").is_err());
        assert!(EventStream::default().take(b"\xff\n").is_err());
        assert!(EventStream::default().take(&vec![b'x'; MOST + 1]).is_err());
    }
}

//! Payloads of which only the size matters, and DNS messages.

/// Bytes to send where only their number matters.
pub(crate) static FILLER: [u8; 16_384] = [b'w'; 16_384];

/// The payload of a frame, as it is described before it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Payload {
    /// So many bytes of filler.
    Filler(u16),
    /// A DNS query for a name of so many bytes, before `.example`.
    Query { id: u16, name: u16 },
    /// The answer to that query, with so many bytes of records.
    Answer { id: u16, name: u16, records: u16 },
}

impl Payload {
    /// Nothing at all.
    pub(crate) const NONE: Self = Self::Filler(0);

    /// Appends the bytes.
    pub(crate) fn write(self, bytes: &mut Vec<u8>) {
        match self {
            Self::Filler(count) => {
                let mut left = usize::from(count);
                while left > 0 {
                    let some = left.min(FILLER.len());
                    bytes.extend_from_slice(&FILLER[..some]);
                    left -= some;
                }
            }
            Self::Query { id, name } => write_query(bytes, id, usize::from(name)),
            Self::Answer { id, name, records } => {
                let start = bytes.len();
                write_query(bytes, id, usize::from(name));
                bytes[start + 2] |= 0x80;
                bytes.extend(std::iter::repeat_n(b'a', usize::from(records)));
            }
        }
    }

    /// Number of bytes.
    pub(crate) fn len(self) -> usize {
        match self {
            Self::Filler(count) => usize::from(count),
            Self::Query { name, .. } => query_len(usize::from(name)),
            Self::Answer { name, records, .. } => {
                query_len(usize::from(name)) + usize::from(records)
            }
        }
    }
}

/// A DNS query for a name of so many bytes, before `.example`.
pub(crate) fn query(id: u16, name: usize) -> Vec<u8> {
    let mut query = Vec::with_capacity(query_len(name));
    write_query(&mut query, id, name);
    query
}

/// Bytes of a query: header, labels with their lengths, `.example`, type and class.
fn query_len(name: usize) -> usize {
    let name = name.max(1);
    12 + name + name.div_ceil(63) + 13
}

fn write_query(query: &mut Vec<u8>, id: u16, name: usize) {
    query.extend_from_slice(&id.to_be_bytes());
    // Recursion desired; one question.
    query.extend_from_slice(&[1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    let mut left = name.max(1);
    while left > 0 {
        let label = left.min(63);
        query.push(u8::try_from(label).unwrap_or(63));
        query.extend(std::iter::repeat_n(b'n', label));
        left -= label;
    }
    query.extend_from_slice(b"\x07example\x00\x00\x01\x00\x01");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_is_as_long_as_it_says() {
        let dns = [1, 62, 63, 64, 180].into_iter().flat_map(|name| {
            [Payload::Query { id: 7, name }, Payload::Answer { id: 7, name, records: 90 }]
        });
        for payload in dns.chain([0, 1, 16_384, 65_000].map(Payload::Filler)) {
            let mut bytes = vec![0; 3];
            payload.write(&mut bytes);
            assert_eq!(bytes.len() - 3, payload.len(), "{payload:?}");
        }
    }
}

//! Fragments: a whole frame cut down to one part of what it carries.

use std::io;

use etherparse::{Ipv4Header, Ipv6Header};

/// Protocol number of IPv6's fragment header.
const FRAGMENT: u8 = 44;

/// A part of what an IP packet carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    /// Identification that all parts share; IPv4 keeps the lower half.
    pub(crate) id: u32,
    /// First byte, counted from the transport's header; a multiple of eight.
    pub(crate) from: u16,
    /// Bytes.
    pub(crate) length: u16,
    /// More parts follow.
    pub(crate) more: bool,
}

impl Piece {
    /// Cuts a frame whose link header has so many bytes.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidInput`] if the frame has no such part.
    pub(super) fn cut(self, link: usize, is_v4: bool, frame: &mut Vec<u8>) -> io::Result<()> {
        let body = link + if is_v4 { Ipv4Header::MIN_LEN } else { Ipv6Header::LEN };
        let from = body + usize::from(self.from);
        let to = from + usize::from(self.length);
        if !self.from.is_multiple_of(8) || to > frame.len() {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        frame.truncate(to);
        frame.drain(body..from);
        let offset = self.from / 8;
        if is_v4 {
            let invalid = || io::Error::from(io::ErrorKind::InvalidInput);
            let (mut header, _) =
                Ipv4Header::from_slice(&frame[link..body]).map_err(|_| invalid())?;
            let [_, _, high, low] = self.id.to_be_bytes();
            header.identification = u16::from_be_bytes([high, low]);
            header.more_fragments = self.more;
            header.fragment_offset = offset.try_into().map_err(|_| invalid())?;
            header.set_payload_len(usize::from(self.length)).map_err(|_| invalid())?;
            header.header_checksum = header.calc_header_checksum();
            frame[link..body].copy_from_slice(&header.to_bytes());
        } else {
            let carried = std::mem::replace(&mut frame[link + 6], FRAGMENT);
            let length = self.length + 8;
            frame[link + 4..link + 6].copy_from_slice(&length.to_be_bytes());
            let [o0, o1] = (offset << 3 | u16::from(self.more)).to_be_bytes();
            let [i0, i1, i2, i3] = self.id.to_be_bytes();
            frame.splice(body..body, [carried, 0, o0, o1, i0, i1, i2, i3]);
        }
        Ok(())
    }
}

//! Lines of bounded length.

use std::io::{self, BufRead};

/// The most bytes that a line may have.
pub const LONGEST_LINE: usize = 4_096;

/// The UTF-8 byte order mark, which some editors put before a text.
const BYTE_ORDER_MARK: &[u8] = &[0xef, 0xbb, 0xbf];

/// Reads a source line by line; holds no more than one.
#[derive(Debug)]
pub(crate) struct Lines<R> {
    source: R,
    line: Vec<u8>,
    number: u64,
    whole: bool,
}

impl<R: BufRead> Lines<R> {
    pub(crate) const fn new(source: R) -> Self {
        Self { source, line: Vec::new(), number: 0, whole: true }
    }

    /// Goes to the next line; false where there is none.
    pub(crate) fn advance(&mut self) -> io::Result<bool> {
        self.line.clear();
        self.whole = true;
        let mut some = false;
        loop {
            let available = match self.source.fill_buf() {
                Ok(available) => available,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            if available.is_empty() {
                break;
            }
            some = true;
            let end = available.iter().position(|&byte| byte == b'\n');
            let part = &available[..end.unwrap_or(available.len())];
            let room = LONGEST_LINE - self.line.len();
            self.whole &= part.len() <= room;
            self.line.extend_from_slice(&part[..part.len().min(room)]);
            let used = end.map_or(available.len(), |end| end + 1);
            self.source.consume(used);
            if end.is_some() {
                break;
            }
        }
        self.number += u64::from(some);
        if self.number == 1 && self.line.starts_with(BYTE_ORDER_MARK) {
            self.line.drain(..BYTE_ORDER_MARK.len());
        }
        Ok(some)
    }

    /// The line's bytes without its end; `None` of one that is too long.
    pub(crate) fn line(&self) -> Option<&[u8]> {
        self.whole.then_some(&self.line)
    }

    /// The line's number, from 1; of the last one at the end.
    pub(crate) const fn number(&self) -> u64 {
        self.number
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8], buffer: usize) -> Vec<(u64, Option<Vec<u8>>)> {
        let mut lines = Lines::new(io::BufReader::with_capacity(buffer, bytes));
        let mut read = Vec::new();
        while lines.advance().unwrap() {
            read.push((lines.number(), lines.line().map(<[u8]>::to_vec)));
        }
        read
    }

    #[test]
    fn a_last_line_needs_no_end_and_an_end_makes_no_line() {
        let line = |number, text: &str| (number, Some(text.as_bytes().to_vec()));
        assert_eq!(read(b"a\n\nb", 2), [line(1, "a"), line(2, ""), line(3, "b")]);
        assert_eq!(read(b"a\n", 64), [line(1, "a")]);
        assert_eq!(read(b"", 64), []);
    }

    #[test]
    fn a_line_beyond_the_bound_is_passed_over_whole() {
        for extra in [0, 1, 10 * LONGEST_LINE] {
            let mut bytes = vec![b'x'; LONGEST_LINE + extra];
            bytes.extend(b"\nnext");
            let read = read(&bytes, 1_000);
            assert_eq!(read[0].1.is_some(), extra == 0, "{extra}");
            assert_eq!(read[1], (2, Some(b"next".to_vec())), "{extra}");
        }
    }

    #[test]
    fn a_byte_order_mark_is_no_part_of_the_first_line() {
        assert_eq!(read("\u{feff}a\n\u{feff}b".as_bytes(), 64)[0].1.as_deref(), Some(&b"a"[..]));
    }
}

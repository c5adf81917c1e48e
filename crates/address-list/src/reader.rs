//! A list, entry by entry.

use std::io::BufRead;

use ipnet::IpNet;

use crate::{
    Asks, Format, LineError, Options, ReadError,
    columns::{Columns, names_addresses},
    error::shown,
    lines::Lines,
    net::parse_net,
    record::fields,
};

/// Entry that a line puts on the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// An address, as the prefix of that one, or a prefix without bits behind its length.
    pub net: IpNet,
    /// Further requests of the line.
    pub asks: Asks,
}

/// A line that says something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Its number in the file, from 1.
    pub number: u64,
    /// Entry of the line, or the reason for which it makes none.
    pub entry: Result<Entry, LineError>,
}

/// Reads a list line by line.
///
/// Holds one line, of at most [`crate::LONGEST_LINE`] bytes. Blank lines, remarks and a header
/// are passed over.
#[derive(Debug)]
pub struct Reader<R> {
    lines: Lines<R>,
    options: Options,
    /// Known from the first line on that says something.
    layout: Option<Layout>,
}

#[derive(Debug)]
enum Layout {
    Text,
    Csv { separator: char, columns: Columns },
}

impl<R: BufRead> Reader<R> {
    /// Reads nothing yet.
    pub const fn new(source: R, options: Options) -> Self {
        Self { lines: Lines::new(source), options, layout: None }
    }

    /// The next line that says something; `None` at the end.
    pub fn next_line(&mut self) -> Result<Option<Line>, ReadError> {
        loop {
            let some = self.lines.advance().map_err(|source| {
                let line = self.lines.number() + 1;
                ReadError::Read { line, source }
            })?;
            if !some {
                return Ok(None);
            }
            let number = self.lines.number();
            let Some(bytes) = self.lines.line() else {
                return Ok(Some(Line { number, entry: Err(LineError::TooLong) }));
            };
            let Ok(text) = str::from_utf8(bytes) else {
                // Remarks may be in any encoding.
                match bytes.trim_ascii_start().first() {
                    Some(b'#' | b';') => continue,
                    _ => return Ok(Some(Line { number, entry: Err(LineError::NotText) })),
                }
            };
            let text = text.trim();
            if text.is_empty() || text.starts_with('#') {
                continue;
            }
            let layout = match &self.layout {
                Some(layout) => layout,
                None => match Layout::of(text, &self.options, number)? {
                    None => continue,
                    Some((layout, is_header)) => {
                        let layout = self.layout.insert(layout);
                        if is_header {
                            continue;
                        }
                        layout
                    }
                },
            };
            if let Some(entry) = layout.entry(text).transpose() {
                return Ok(Some(Line { number, entry }));
            }
        }
    }

    /// The number of the last line read, from 1; 0 before the first.
    pub const fn number(&self) -> u64 {
        self.lines.number()
    }
}

impl Layout {
    /// The layout by a line, and whether that line is a header; `None` of a remark.
    fn of(text: &str, options: &Options, number: u64) -> Result<Option<(Self, bool)>, ReadError> {
        let said = without_remark(text);
        let is_csv = match options.format {
            Format::Text => false,
            Format::Csv => true,
            Format::Detect => {
                if said.is_empty() {
                    return Ok(None);
                }
                options.column.is_some() || said.contains([',', '\t']) || names_addresses(said)
            }
        };
        if !is_csv {
            return Ok(Some((Self::Text, false)));
        }
        let separator = if text.contains(',') || !text.contains('\t') { ',' } else { '\t' };
        // A first record that is broken names no column; the message shows it.
        let first = fields(text, separator).unwrap_or_else(|_| vec![text.into()]);
        let (columns, is_header) = Columns::of(&first, options.column.as_ref(), number)?;
        Ok(Some((Self::Csv { separator, columns }, is_header)))
    }

    /// Entry of a line; `None` of a remark.
    fn entry(&self, text: &str) -> Result<Option<Entry>, LineError> {
        match self {
            Self::Csv { separator, columns } => columns.entry(&fields(text, *separator)?).map(Some),
            Self::Text => {
                let said = without_remark(text);
                if said.is_empty() {
                    return Ok(None);
                }
                if said.contains(char::is_whitespace) {
                    return Err(LineError::Words(shown(said)));
                }
                parse_net(said).map(|net| Some(Entry { net, asks: Asks::default() }))
            }
        }
    }
}

/// No address has either sign in it.
fn without_remark(text: &str) -> &str {
    text.split(['#', ';']).next().unwrap_or_default().trim_end()
}

#[cfg(test)]
mod tests;

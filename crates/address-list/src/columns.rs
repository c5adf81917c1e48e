//! Roles of a record's fields.

use std::borrow::Cow;

use crate::{
    Asks, Column, LineError, ReadError,
    asks::{action, lease, rate},
    error::shown,
    net::parse_net,
    reader::Entry,
};

/// Names of the column of addresses, the likeliest first.
const ADDRESS: [&str; 14] = [
    "ip",
    "address",
    "ip_address",
    "ip address",
    "cidr",
    "prefix",
    "network",
    "target",
    "source.ip",
    "source_ip",
    "src_ip",
    "dst_ip",
    "indicator",
    "value",
];
const LEASE: [&str; 3] = ["ttl", "duration", "lease"];
const ACTION: [&str; 1] = ["action"];
const RATE: [&str; 2] = ["packets_per_second", "pps"];

/// True of a word that names a column of addresses.
pub(crate) fn names_addresses(word: &str) -> bool {
    ADDRESS.iter().any(|name| word.eq_ignore_ascii_case(name))
}

/// The places of the fields that mean something; the others are passed over.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Columns {
    address: usize,
    lease: Option<usize>,
    action: Option<usize>,
    rate: Option<usize>,
}

impl Columns {
    /// Finds them by the first record; also tells whether that is a header.
    pub(crate) fn of(
        first: &[Cow<'_, str>],
        asked: Option<&Column>,
        line: u64,
    ) -> Result<(Self, bool), ReadError> {
        let place = |names: &[&str]| {
            names
                .iter()
                .find_map(|name| first.iter().position(|field| field.eq_ignore_ascii_case(name)))
        };
        let header = || shown(&first.join(","));
        let missing = |column: &Column| ReadError::ColumnMissing {
            line,
            column: column.to_string(),
            header: header(),
        };
        let is_net = |field: &Cow<'_, str>| parse_net(field).is_ok();
        let address = match asked {
            Some(column @ Column::Name(name)) => {
                place(&[name.as_str()]).ok_or_else(|| missing(column))?
            }
            Some(column @ Column::Number(number)) => {
                let place = number.get() - 1;
                if place >= first.len() {
                    return Err(missing(column));
                }
                place
            }
            None => {
                let mut nets = (0..first.len()).filter(|&place| is_net(&first[place]));
                match (place(&ADDRESS), nets.next(), nets.next()) {
                    (Some(place), ..) | (None, Some(place), None) => place,
                    (None, None, _) => return Err(ReadError::NoColumn { line, header: header() }),
                    (None, Some(_), Some(_)) => {
                        return Err(ReadError::Ambiguous { line, record: header() });
                    }
                }
            }
        };
        if is_net(&first[address]) {
            // Without a header nothing tells what the other fields are.
            return Ok((Self { address, lease: None, action: None, rate: None }, false));
        }
        let columns =
            Self { address, lease: place(&LEASE), action: place(&ACTION), rate: place(&RATE) };
        Ok((columns, true))
    }

    /// The entry of a record.
    pub(crate) fn entry(&self, fields: &[Cow<'_, str>]) -> Result<Entry, LineError> {
        let address = fields
            .get(self.address)
            .ok_or(LineError::FieldMissing { found: fields.len(), wanted: self.address + 1 })?;
        // An empty field asks for nothing.
        let field = |place: Option<usize>| {
            place
                .and_then(|place| fields.get(place))
                .map(Cow::as_ref)
                .filter(|text| !text.is_empty())
        };
        Ok(Entry {
            net: parse_net(address)?,
            asks: Asks {
                lease: field(self.lease).map(lease).transpose()?,
                action: field(self.action).map(action).transpose()?,
                packets_per_second: field(self.rate).map(rate).transpose()?,
            },
        })
    }
}

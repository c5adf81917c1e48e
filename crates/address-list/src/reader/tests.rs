//! Lists as feeds write them.

use std::{io, time::Duration};

use flows_common::Action;

use super::*;
use crate::Column;

fn read(list: &str, options: Options) -> Vec<(u64, String)> {
    let mut reader = Reader::new(list.as_bytes(), options);
    let mut read = Vec::new();
    while let Some(line) = reader.next_line().unwrap() {
        let said = line.entry.map_or_else(|error| error.to_string(), |entry| entry.net.to_string());
        read.push((line.number, said));
    }
    read
}

fn check(list: &str, expected: &[(u64, &str)]) {
    let read = read(list, Options::default());
    let read: Vec<(u64, &str)> =
        read.iter().map(|(number, said)| (*number, said.as_str())).collect();
    assert_eq!(read, expected, "{list}");
}

fn of_column(column: &str) -> Options {
    Options { column: Some(column.parse().unwrap()), ..Options::default() }
}

fn refused(list: &str, options: Options) -> String {
    Reader::new(list.as_bytes(), options).next_line().unwrap_err().to_string()
}

#[test]
fn a_text_list_has_one_address_or_prefix_a_line() {
    check(
        "# of 2026\r\n\r\n192.0.2.1\r\n  2001:db8::/32  \r\n",
        &[(3, "192.0.2.1/32"), (4, "2001:db8::/32")],
    );
}

#[test]
fn lists_with_remarks_behind_prefixes_are_read() {
    check(
        "; Spamhaus DROP, 2026/11/28\n192.0.2.0/24 ; SBL1, SBL2\n198.51.100.0/25;SBL3\n203.0.113.7 # a, b\n",
        &[(2, "192.0.2.0/24"), (3, "198.51.100.0/25"), (4, "203.0.113.7/32")],
    );
}

#[test]
fn a_bad_line_is_told_by_its_number_and_the_next_is_read() {
    check(
        "192.0.2.1\nadd block 192.0.2.2\n192.0.2.3\n",
        &[
            (1, "192.0.2.1/32"),
            (
                2,
                "`add block 192.0.2.2` is more than one word; a list has one address or prefix a \
                 line, and CSV commas",
            ),
            (3, "192.0.2.3/32"),
        ],
    );
}

#[test]
fn csv_is_told_by_its_header_and_by_its_fields() {
    check("ip,comment\n192.0.2.1,x\n", &[(2, "192.0.2.1/32")]);
    check("# made today\n\"Source.IP\",x\n\"192.0.2.1\",\n", &[(3, "192.0.2.1/32")]);
    check("seen,network\n2026-11-28,192.0.2.0/24\n", &[(2, "192.0.2.0/24")]);
    check("address\n192.0.2.1\n", &[(2, "192.0.2.1/32")]);
    check("x,192.0.2.1\ny,192.0.2.2\n", &[(1, "192.0.2.1/32"), (2, "192.0.2.2/32")]);
    check("ip\tx\n192.0.2.1\ta, b\n", &[(2, "192.0.2.1/32")]);
}

#[test]
fn a_broken_record_is_told_by_its_number() {
    check(
        "x,ip\n1\n2,\"192.0.2.1\n3,192.0.2.3\n",
        &[
            (2, "the record has 1 fields and no field 2, where addresses are"),
            (3, "a quote is not closed; a record must be on one line"),
            (4, "192.0.2.3/32"),
        ],
    );
}

#[test]
fn a_column_is_asked_for_by_name_or_number() {
    let list = "when,attacker\nmon,192.0.2.1\n";
    let expected = [(2, "192.0.2.1/32".to_owned())];
    for column in ["Attacker", "2"] {
        assert_eq!(read(list, of_column(column)), expected, "{column}");
    }
    assert_eq!(read("mon,192.0.2.1\n", of_column("2")), [(1, "192.0.2.1/32".to_owned())]);
    assert!(refused(list, of_column("victim")).contains("no column `victim` in `when,attacker`"));
    assert!(refused(list, of_column("3")).contains("line 1: no column `3`"));
    assert!(refused(list, Options::default()).contains("name it with `--column`"));
    let two = refused("192.0.2.1, 192.0.2.2\n", Options::default());
    assert!(two.contains("several addresses and no header"), "{two}");
}

#[test]
fn a_record_may_ask_for_its_own_lease_action_and_rate() {
    let list = "prefix,ttl,action,pps,reason\n192.0.2.0/24,2h,rate-limit,25,scan\n\
                192.0.2.1,,,,\n192.0.2.2,never,,,\n192.0.2.3,,ban,,\n192.0.2.4,,,none,\n";
    let mut reader = Reader::new(list.as_bytes(), Options::default());
    let mut next = || reader.next_line().unwrap().unwrap().entry;
    let asks = Asks {
        lease: Some(Duration::from_hours(2)),
        action: Some(Action::RateLimit),
        packets_per_second: Some(25),
    };
    assert_eq!(next().unwrap().asks, asks);
    assert_eq!(next().unwrap().asks, Asks::default());
    assert_eq!(next(), Err(LineError::Lease("never".to_owned())));
    assert_eq!(next(), Err(LineError::Action("ban".to_owned())));
    assert_eq!(next(), Err(LineError::Rate("none".to_owned())));
}

#[test]
fn a_format_that_is_asked_for_is_taken() {
    let text = Options { format: Format::Text, column: None };
    assert!(read("ip\n", text)[0].1.contains("neither an address"));
    let csv = Options { format: Format::Csv, column: Some(Column::Name("x".to_owned())) };
    assert_eq!(read("x\n192.0.2.1\n", csv), [(2, "192.0.2.1/32".to_owned())]);
}

#[test]
fn bytes_that_are_no_text_are_a_bad_line_but_for_remarks() {
    let list = b"\xff\n# \xff\n192.0.2.1\n";
    let mut reader = Reader::new(&list[..], Options::default());
    let line = reader.next_line().unwrap().unwrap();
    assert_eq!((line.number, line.entry), (1, Err(LineError::NotText)));
    assert_eq!(reader.next_line().unwrap().unwrap().number, 3);
}

#[test]
fn a_source_that_fails_is_told_with_the_line() {
    struct Fails;
    impl io::Read for Fails {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("gone"))
        }
    }
    let source = io::Read::chain(&b"192.0.2.1\n192."[..], Fails);
    let mut reader = Reader::new(io::BufReader::new(source), Options::default());
    assert!(reader.next_line().unwrap().is_some());
    assert_eq!(reader.next_line().unwrap_err().to_string(), "line 2: gone");
}

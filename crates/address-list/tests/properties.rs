//! Whatever the bytes, a list is read to its end, and each line has its number.

use std::io::BufReader;

use proptest::{collection::vec, prelude::*};
use weir_address_list::{Format, LONGEST_LINE, Line, LineError, Options, Reader, parse_net};

/// Entries of bytes read through a buffer of some size; `None` where no column was found.
fn read(bytes: &[u8], format: Format, buffer: usize) -> Option<Vec<Line>> {
    let source = BufReader::with_capacity(buffer, bytes);
    let mut reader = Reader::new(source, Options { format, column: None });
    let mut lines = Vec::new();
    while let Some(line) = reader.next_line().ok()? {
        lines.push(line);
    }
    Some(lines)
}

fn format() -> impl Strategy<Value = Format> {
    prop_oneof![Just(Format::Detect), Just(Format::Text), Just(Format::Csv)]
}

/// Bytes of which lists are made, so that something comes of them.
fn listlike() -> impl Strategy<Value = Vec<u8>> {
    vec(prop::sample::select(b"0123456789abcdef.:/,;#\"\t\r\n -ip\xff".to_vec()), 0..400)
}

/// A line, and what is to be read of it.
fn line() -> impl Strategy<Value = (String, Option<bool>)> {
    prop_oneof![
        any::<u32>().prop_map(|bits| (std::net::Ipv4Addr::from(bits).to_string(), Some(true))),
        any::<u128>().prop_map(|bits| (std::net::Ipv6Addr::from(bits).to_string(), Some(true))),
        (any::<u32>(), 0..=32_u8).prop_map(|(bits, length)| {
            let net = ipnet::Ipv4Net::new(bits.into(), length).unwrap().trunc();
            (format!("{net} ; remark"), Some(true))
        }),
        Just((String::new(), None)),
        "[ \t]*#[ -~]{0,20}".prop_map(|remark| (remark, None)),
        "[g-z]{1,12}".prop_map(|word| (word, Some(false))),
        (LONGEST_LINE + 1..LONGEST_LINE + 50).prop_map(|length| ("1".repeat(length), Some(false))),
    ]
}

proptest! {
    #[test]
    fn any_bytes_are_read_to_their_end(
        bytes in prop_oneof![vec(any::<u8>(), 0..400), listlike()],
        format in format(),
        buffer in 1_usize..64,
    ) {
        let lines = read(&bytes, format, buffer);
        prop_assert_eq!(&lines, &read(&bytes, format, 4_096), "the buffer's size matters");
        let count = bytes.split(|&byte| byte == b'\n').count() as u64;
        let mut before = 0;
        for line in lines.into_iter().flatten() {
            prop_assert!(before < line.number && line.number <= count);
            before = line.number;
            if let Ok(entry) = line.entry {
                prop_assert_eq!(entry.net, entry.net.trunc());
            }
        }
    }

    #[test]
    fn each_line_is_read_under_its_own_number(lines in vec(line(), 0..40)) {
        let text: String = lines.iter().flat_map(|(line, _)| [line.as_str(), "\n"]).collect();
        let read = read(text.as_bytes(), Format::Text, 100).expect("text has no columns");
        let expected: Vec<(u64, bool)> = (1..)
            .zip(&lines)
            .filter_map(|(number, (_, is_good))| Some((number, (*is_good)?)))
            .collect();
        let found: Vec<(u64, bool)> =
            read.iter().map(|line| (line.number, line.entry.is_ok())).collect();
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn a_prefix_is_read_whole_or_refused_with_both_readings(bits in any::<u32>(), length in 0..=32_u8) {
        let net = ipnet::IpNet::new(std::net::Ipv4Addr::from(bits).into(), length).unwrap();
        match parse_net(&net.to_string()) {
            Ok(read) => prop_assert_eq!(read, net),
            Err(LineError::HostBits { address, prefix, .. }) => {
                prop_assert_eq!((address, prefix), (net.addr(), net.trunc()));
                prop_assert!(net != net.trunc());
            }
            Err(error) => prop_assert!(false, "{}", error),
        }
    }
}

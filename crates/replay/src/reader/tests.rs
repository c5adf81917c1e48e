use std::io;

use super::super::sample::{ETHERNET, Format, PPP, SECOND, Sample, reader, udp};
use super::*;

fn samples() -> Vec<Sample> {
    let at = |number: u64| 1_500_000_000 * SECOND + number * 1_234_567_000;
    (0..5).map(|number| (at(u64::from(number)), udp(1, number, 53))).collect()
}

fn read_all(reader: &mut CaptureReader) -> Result<Vec<Sample>, CaptureError> {
    let mut frames = Vec::new();
    while let Some(frame) = reader.next_frame()? {
        assert_eq!(frame.interface, 1);
        frames.push((frame.time_ns, frame.bytes.to_vec()));
    }
    Ok(frames)
}

fn refusal(file: Vec<u8>) -> String {
    CaptureReader::new(io::Cursor::new(file), "sample.pcap").expect_err("refused").to_string()
}

#[test]
fn every_format_gives_the_same_frames() {
    for format in Format::all() {
        let mut reader = reader(format.write(ETHERNET, &samples()));
        assert_eq!(read_all(&mut reader).expect("whole"), samples(), "{format:?}");
        assert_eq!((reader.report().frames, reader.report().lost()), (5, 0), "{format:?}");
    }
}

#[test]
fn every_link_type_gives_the_same_packets_in_every_format() {
    let packet = |frame: &[u8]| frame[14..].to_vec();
    // Number, and the header in front of an IPv4 packet.
    let mut cooked_v2 = vec![0; 20];
    cooked_v2[..2].copy_from_slice(&[0x08, 0x00]);
    cooked_v2[7] = 1;
    let links = [
        (ETHERNET, [vec![0; 12], vec![0x08, 0x00]].concat()),
        (113, [vec![0; 14], vec![0x08, 0x00]].concat()),
        (276, cooked_v2),
        (101, vec![]),
        (228, vec![]),
        (0, vec![2, 0, 0, 0]),
        (108, vec![0, 0, 0, 2]),
    ];
    for format in Format::all() {
        for (link, header) in &links {
            let frames: Vec<Sample> = samples()
                .into_iter()
                .map(|(time_ns, frame)| (time_ns, [header.clone(), packet(&frame)].concat()))
                .collect();
            let mut reader = reader(format.write(*link, &frames));
            let read = read_all(&mut reader).expect("whole");
            let is_bare = [0, 101, 108, 228].contains(link);
            let expected: Vec<Sample> = samples()
                .into_iter()
                .map(|(time_ns, frame)| {
                    let ethernet = || [&[0; 12][..], &frame[12..]].concat();
                    (time_ns, if is_bare { packet(&frame) } else { ethernet() })
                })
                .collect();
            assert_eq!(read, expected, "{format:?} of link type {link}");
            let wire_bytes: usize = expected.iter().map(|(_, frame)| frame.len()).sum();
            assert_eq!(reader.report().wire_bytes, wire_bytes as u64, "link type {link}");
        }
    }
}

#[test]
fn a_file_cut_anywhere_gives_its_whole_frames_and_counts_the_cut() {
    for format in Format::all() {
        let whole = format.write(ETHERNET, &samples());
        let bounds: Vec<usize> =
            (0..=5).map(|kept| format.write(ETHERNET, &samples()[..kept]).len()).collect();
        for end in bounds[0]..=bounds[2] {
            let mut reader = reader(whole[..end].to_vec());
            let frames = read_all(&mut reader).expect("a cut is no error");
            let kept = bounds.iter().rposition(|&bound| bound <= end).expect("the header is");
            assert_eq!(frames, samples()[..kept], "{format:?} cut at {end}");
            let cut = reader.report().losses[CaptureLoss::CutFile.index()];
            assert_eq!(cut, u64::from(end != bounds[kept]), "{format:?} cut at {end}");
        }
    }
}

#[test]
fn a_frame_keeps_the_length_it_had_on_the_wire() {
    let mut file = Format::PCAP.write(ETHERNET, &samples()[..1]);
    let wire_length = 24 + 12;
    file[wire_length..wire_length + 4].copy_from_slice(&1_514_u32.to_le_bytes());
    let mut reader = reader(file);
    let frame = reader.next_frame().expect("whole").expect("a frame");
    assert_eq!((frame.wire_length, frame.bytes.len()), (1_514, 46));
    assert_eq!((reader.report().snapped, reader.report().wire_bytes), (1, 1_514));
}

#[test]
fn a_record_longer_than_any_frame_is_damage_at_its_offset() {
    for (format, length_at) in [(Format::PCAP, 8), (Format::PCAPNG, 4)] {
        let mut file = format.write(ETHERNET, &samples()[..2]);
        let second = format.write(ETHERNET, &samples()[..1]).len();
        file[second + length_at..second + length_at + 4].copy_from_slice(&[0xff; 4]);
        let mut reader = reader(file);
        assert!(reader.next_frame().expect("the first is whole").is_some());
        let message = reader.next_frame().expect_err("the second is not").to_string();
        let expected = format!("`sample.pcap` is damaged at byte {second}: a record of ");
        assert!(message.starts_with(&expected), "{message}");
        assert_eq!(reader.next_frame().expect("no frame after damage"), None);
    }
}

#[test]
fn a_pcapng_frame_longer_than_its_block_is_damage_and_not_a_cut() {
    let mut file = Format::PCAPNG.write(ETHERNET, &samples()[..1]);
    let block = Format::PCAPNG.write(ETHERNET, &[]).len();
    file[block + 20..block + 24].copy_from_slice(&5_000_u32.to_le_bytes());
    let message = reader(file).next_frame().expect_err("damage").to_string();
    assert!(message.contains("does not fit its own length"), "{message}");
}

#[test]
fn what_is_no_capture_is_refused_by_name() {
    assert_eq!(
        refusal(vec![0xfd, b'7', b'z', b'X', b'Z']),
        "`sample.pcap` starts with fd 37 7a 58 and is compressed by xz: \
         decompress it first with `unxz`"
    );
    assert_eq!(
        refusal(b"#separator".to_vec()),
        "`sample.pcap` starts with 23 73 65 70 and is neither pcap nor pcapng: \
         convert it with `editcap`"
    );
    assert_eq!(
        refusal(vec![]),
        "`sample.pcap` holds 0 bytes, fewer than a capture's header: capture it anew"
    );
    assert_eq!(
        refusal(Format::PCAP.write(PPP, &[])),
        "`sample.pcap` has link type 9 (PPP), and only Ethernet, Linux cooked v1 and v2, \
         raw IP and BSD loopback can be read: capture on an Ethernet interface, or on `any`"
    );
}

#[test]
fn a_frame_of_an_unreadable_or_unknown_interface_is_counted() {
    let mut file = Format::PCAPNG.write(ETHERNET, &samples()[..1]);
    file.extend(Format::PCAPNG.interface(PPP));
    for interface in [1, 1, 2] {
        file.extend(Format::PCAPNG.record_on(interface, SECOND, &[0; 60]));
    }
    let mut reader = reader(file);
    assert_eq!(read_all(&mut reader).expect("whole"), samples()[..1]);
    let losses = reader.report().losses;
    assert_eq!(losses[CaptureLoss::LinkType.index()], 2);
    assert_eq!(losses[CaptureLoss::UnknownInterface.index()], 1);
}

#[test]
fn a_pcapng_of_unreadable_interfaces_alone_is_refused() {
    let mut reader = reader(Format::PCAPNG.write(PPP, &samples()));
    let message = reader.next_frame().expect_err("nothing can be read").to_string();
    assert!(message.starts_with("`sample.pcap` has link type 9 (PPP)"), "{message}");
}

#[test]
fn a_simple_packet_takes_the_time_of_the_frame_before() {
    let mut file = Format::PCAPNG.write(ETHERNET, &samples()[..1]);
    let packet = [&46_u32.to_le_bytes(), &udp(1, 9, 53)[..], &[0; 2]].concat();
    file.extend(Format::PCAPNG.block(3, &packet));
    let mut reader = reader(file);
    let frames = read_all(&mut reader).expect("whole");
    assert_eq!(frames[1], (samples()[0].0, udp(1, 9, 53)));
    assert_eq!(reader.report().undated, 1);
}

/// A Packet Block, which later drafts call obsolete; its flags say received.
fn packet_block(format: Format, interface: u16, (time_ns, bytes): &Sample) -> Vec<u8> {
    let word = |word: u32| if format.big_endian { word.to_be_bytes() } else { word.to_le_bytes() };
    let half = |half: u16| if format.big_endian { half.to_be_bytes() } else { half.to_le_bytes() };
    let length = u32::try_from(bytes.len()).expect("short");
    let ticks = time_ns / if format.nanoseconds { 1 } else { 1_000 };
    let [high, low] =
        [ticks >> 32, ticks & 0xffff_ffff].map(|part| u32::try_from(part).expect("half"));
    let mut body = [half(interface), half(0xffff)].concat();
    body.extend([high, low, length, length].map(word).concat());
    body.extend(bytes);
    body.resize(body.len().next_multiple_of(4), 0);
    // pack_flags, and the end of options.
    body.extend([half(2), half(4)].concat());
    body.extend([word(1), [0; 4]].concat());
    format.block(2, &body)
}

#[test]
fn a_packet_block_of_the_first_drafts_gives_its_frame() {
    for format in Format::all().into_iter().filter(|format| format.pcapng) {
        let mut file = format.write(ETHERNET, &samples()[..1]);
        for sample in &samples()[1..] {
            file.extend(packet_block(format, 0, sample));
        }
        file.extend(packet_block(format, 7, &samples()[0]));
        let mut reader = reader(file);
        let mut frames = Vec::new();
        while let Some(frame) = reader.next_frame().expect("whole") {
            let received = (!frames.is_empty()).then_some(flows_common::Direction::Ingress);
            assert_eq!((frame.interface, frame.direction), (1, received), "{format:?}");
            frames.push((frame.time_ns, frame.bytes.to_vec()));
        }
        assert_eq!(frames, samples(), "{format:?}");
        assert_eq!(reader.report().losses[CaptureLoss::UnknownInterface.index()], 1);
    }
}

#[test]
fn a_packet_block_that_contradicts_itself_is_damage() {
    let head = Format::PCAPNG.write(ETHERNET, &[]);
    let mut lies = packet_block(Format::PCAPNG, 0, &samples()[0]);
    lies[20..24].copy_from_slice(&5_000_u32.to_le_bytes());
    for (block, what) in [
        (lies, "does not fit its own length"),
        (Format::PCAPNG.block(2, &[0; 8]), "shorter than its own header"),
    ] {
        let message =
            reader([head.clone(), block].concat()).next_frame().expect_err("damage").to_string();
        assert!(message.contains(what), "{message}");
    }
}

#[test]
fn the_check_sequence_at_a_frames_end_belongs_to_no_packet() {
    let with_fcs: Vec<Sample> =
        samples().iter().map(|(time, frame)| (*time, [&frame[..], &[0xfc; 4]].concat())).collect();
    let expect = |file: Vec<u8>, what: &str| {
        let mut reader = reader(file);
        assert_eq!(read_all(&mut reader).expect("whole"), samples(), "{what}");
        let bytes: usize = samples().iter().map(|(_, frame)| frame.len()).sum();
        assert_eq!(reader.report().wire_bytes, bytes as u64, "{what}");
        assert_eq!(reader.report().snapped, 0, "{what}");
    };
    // In pcap beside the link type: present, and two units of two bytes.
    let mut pcap = Format::PCAP.write(ETHERNET, &with_fcs);
    pcap[23] = 0x24;
    expect(pcap, "pcap");
    // In pcapng in bits or bytes, by interface.
    for length in [4, 32] {
        let mut body = [&1_u16.to_le_bytes()[..], &[0; 6], &13_u16.to_le_bytes()].concat();
        body.extend([1, 0, length, 0, 0, 0, 0, 0, 0, 0]);
        let interface = Format::PCAPNG.block(1, &body);
        let whole = Format::PCAPNG.write(ETHERNET, &[]);
        let head = &whole[..whole.len() - Format::PCAPNG.interface(ETHERNET).len()];
        let packets = with_fcs.iter().flat_map(|(time, frame)| Format::PCAPNG.record(*time, frame));
        expect([head, &interface, &packets.collect::<Vec<u8>>()].concat(), "pcapng");
    }
    // Cut by the capture's snap length, a frame has lost it before.
    let mut cut = Format::PCAP.write(ETHERNET, &samples()[..1]);
    cut[23] = 0x24;
    let wire_length = 24 + 12;
    cut[wire_length..wire_length + 4].copy_from_slice(&104_u32.to_le_bytes());
    let mut reader = reader(cut);
    let frame = reader.next_frame().expect("whole").expect("a frame");
    assert_eq!((frame.wire_length, frame.bytes.len()), (100, 46));
}

#[test]
fn frames_before_any_time_take_the_first_one() {
    let packet = [&46_u32.to_le_bytes(), &udp(1, 9, 53)[..], &[0; 2]].concat();
    let mut file = Format::PCAPNG.write(ETHERNET, &[]);
    file.extend(Format::PCAPNG.block(3, &packet));
    file.extend(Format::PCAPNG.record(samples()[0].0, &samples()[0].1));
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("undated.pcapng");
    std::fs::write(&path, file).expect("a file");
    let mut captures = crate::Captures::open(&[path]).expect("a capture");
    for _ in 0..2 {
        let frame = captures.next_frame().expect("whole").expect("a frame");
        assert_eq!(frame.time_ns, samples()[0].0);
    }
}

#[test]
fn a_reader_that_fails_names_the_file_the_place_and_the_cause() {
    struct Fails(io::Cursor<Vec<u8>>);
    impl Read for Fails {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            match self.0.read(buffer)? {
                0 => Err(io::Error::other("the disk is gone")),
                read => Ok(read),
            }
        }
    }
    let file = Format::PCAP.write(ETHERNET, &samples());
    let length = file.len();
    let mut reader =
        CaptureReader::new(Fails(io::Cursor::new(file)), "sample.pcap").expect("a header");
    for _ in samples() {
        assert!(reader.next_frame().expect("what came before").is_some());
    }
    let message = reader.next_frame().expect_err("the disk is gone").to_string();
    assert_eq!(message, format!("cannot read `sample.pcap` at byte {length}: the disk is gone"));
    assert_eq!(reader.next_frame().expect("nothing more"), None);
}

#[test]
fn any_changed_byte_ends_in_frames_or_an_error() {
    for format in [Format::PCAP, Format::PCAPNG] {
        let whole = format.write(ETHERNET, &samples()[..2]);
        for place in 0..whole.len() {
            for value in [0, 0x80, 0xff] {
                let mut file = whole.clone();
                file[place] = value;
                let Ok(mut reader) = CaptureReader::new(io::Cursor::new(file), "x") else {
                    continue;
                };
                while let Ok(Some(_)) = reader.next_frame() {}
                let most = whole.len() as u64 / 16;
                assert!(reader.report().frames <= most, "{format:?} at {place}");
            }
        }
    }
}

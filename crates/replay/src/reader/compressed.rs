//! Compressed captures: whole, cut, damaged and hostile ones.

use std::io::{Cursor, Read, Write as _};

use flate2::{Compression as Level, write::GzEncoder};

use super::super::sample::{ETHERNET, Format, SECOND, Sample, named, udp};
use super::*;

fn samples() -> Vec<Sample> {
    (0..40).map(|number| (u64::from(number) * SECOND, udp(1, number, 53))).collect()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Level::fast());
    encoder.write_all(bytes).expect("memory");
    encoder.finish().expect("memory")
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 1).expect("memory")
}

type Pack = fn(&[u8]) -> Vec<u8>;

const PACKS: [(Compression, Pack); 2] = [(Compression::Gzip, gzip), (Compression::Zstd, zstd)];

fn times(reader: &mut CaptureReader) -> Result<Vec<u64>, CaptureError> {
    let mut times = Vec::new();
    while let Some(frame) = reader.next_frame()? {
        times.push(frame.time_ns / SECOND);
    }
    Ok(times)
}

fn file_of(bytes: &[u8]) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
    file.write_all(bytes).expect("room");
    file
}

#[test]
fn a_compressed_capture_gives_the_frames_of_the_plain_one() {
    for format in Format::all() {
        let plain = format.write(ETHERNET, &samples());
        for (compression, pack) in PACKS {
            let mut reader = named(pack(&plain), "packed");
            assert_eq!(reader.compression(), Some(compression));
            assert!(times(&mut reader).expect("whole").into_iter().eq(0..40), "{format:?}");
            assert_eq!(reader.report().lost(), 0, "{format:?} {compression}");
        }
    }
}

#[test]
fn members_and_frames_that_follow_each_other_are_one_stream() {
    let plain = Format::PCAP.write(ETHERNET, &samples());
    for (compression, pack) in PACKS {
        let mut packed = Vec::new();
        // Borders within records and within the file's own header.
        for part in plain.chunks(plain.len() / 7).chain([&plain[..0]]) {
            packed.extend(pack(part));
        }
        assert!(times(&mut named(packed, "packed")).expect("whole").into_iter().eq(0..40));
        let mut first_header = Vec::new();
        for part in [&plain[..3], &plain[3..20], &plain[20..]] {
            first_header.extend(pack(part));
        }
        let frames = times(&mut named(first_header, "packed")).expect("whole").len();
        assert_eq!(frames, 40, "{compression}");
    }
}

#[test]
fn a_zstd_file_may_begin_with_a_skippable_frame() {
    let mut packed = [&0x184d_2a50_u32.to_le_bytes()[..], &4_u32.to_le_bytes(), &[7; 4]].concat();
    packed.extend(zstd(&Format::PCAP.write(ETHERNET, &samples())));
    assert_eq!(times(&mut named(packed, "packed")).expect("whole").len(), 40);
}

#[test]
fn a_compressed_stream_cut_anywhere_gives_what_it_holds_and_counts_the_cut() {
    let samples = &samples()[..8];
    let plain = Format::PCAP.write(ETHERNET, samples);
    for (compression, pack) in PACKS {
        // Members of one record each, so that what is before the cut can be unpacked.
        let record = (plain.len() - 24) / samples.len();
        let mut packed = pack(&plain[..24 + record]);
        let first = packed.len();
        for part in plain[24 + record..].chunks(record) {
            packed.extend(pack(part));
        }
        let mut most = 0;
        for end in first..=packed.len() {
            let mut reader = named(packed[..end].to_vec(), "packed");
            let read = times(&mut reader).expect("a cut is no error").len();
            assert!(read >= most, "{compression} cut at {end}: {read} frames, {most} before");
            most = read;
            let cut = reader.report().losses[CaptureLoss::CutFile.index()];
            // Between two members nothing shows that there were more.
            let border = ends_between_members(&packed[..end], compression);
            assert_eq!(cut, u64::from(!border), "{compression} cut at {end}");
        }
        assert_eq!(most, samples.len(), "{compression}");
    }
}

fn ends_between_members(packed: &[u8], compression: Compression) -> bool {
    let mut sink = Vec::new();
    match compression {
        Compression::Gzip => flate2::read::MultiGzDecoder::new(packed).read_to_end(&mut sink),
        Compression::Zstd => zstd::Decoder::new(packed).expect("memory").read_to_end(&mut sink),
    }
    .is_ok()
}

#[test]
fn a_changed_byte_in_a_gzip_member_is_an_error_that_names_file_and_remedy() {
    let plain = Format::PCAP.write(ETHERNET, &samples());
    let mut packed = gzip(&plain);
    let checksum = packed.len() - 8;
    packed[checksum] ^= 1;
    let message = times(&mut named(packed, "packed")).expect_err("damage").to_string();
    let expected = format!("`packed` cannot be unpacked (gzip) beyond byte {}", plain.len());
    assert!(message.starts_with(&expected), "{message}");
    assert!(message.ends_with("test it with `gzip -t`"), "{message}");
}

#[test]
fn any_changed_byte_ends_in_frames_or_an_error() {
    let plain = Format::PCAP.write(ETHERNET, &samples()[..3]);
    for (_, pack) in PACKS {
        let packed = pack(&plain);
        for place in 0..packed.len() {
            for value in [0, 0x80, 0xff] {
                let mut packed = packed.clone();
                packed[place] = value;
                if let Ok(mut reader) = CaptureReader::new(Cursor::new(packed), "x") {
                    let _ = times(&mut reader);
                    assert!(reader.report().frames <= 1_000);
                }
            }
        }
    }
}

#[test]
fn what_is_compressed_twice_is_refused() {
    let plain = Format::PCAP.write(ETHERNET, &samples());
    for (packed, remedy) in [(gzip(&zstd(&plain)), "`gunzip`"), (zstd(&gzip(&plain)), "`unzstd`")] {
        let message = CaptureReader::new(Cursor::new(packed), "packed").expect_err("refused");
        let message = message.to_string();
        assert!(message.contains("is compressed twice") && message.ends_with(remedy), "{message}");
    }
}

#[test]
fn a_compressed_file_that_holds_nothing_is_refused() {
    for (_, pack) in PACKS {
        let message =
            CaptureReader::new(Cursor::new(pack(&[])), "packed").expect_err("refused").to_string();
        assert!(message.contains("holds 0 bytes"), "{message}");
    }
}

/// 8 MiB of zeros are half a million empty records, and 81 kB of gzip.
#[test]
fn what_unpacks_to_much_more_than_its_size_takes_no_more_memory() {
    let header = Format::PCAP.write(ETHERNET, &[]);
    let bomb = [header, vec![0; 8 << 20]].concat();
    for (compression, pack) in PACKS {
        let packed = pack(&bomb);
        assert!(packed.len() < 1 << 17, "{compression}: {} bytes", packed.len());
        let mut reader = named(packed, "packed");
        let mut frames = 0_u64;
        while let Some(frame) = reader.next_frame().expect("whole") {
            assert!(frame.bytes.is_empty());
            frames += 1;
            let held = reader.reader.data().len();
            assert!(held <= READ_AHEAD, "{compression}: {held} bytes held");
        }
        assert_eq!(frames, (8 << 20) / 16, "{compression}");
    }
}

#[test]
fn a_zstd_frame_of_a_huge_window_is_refused_with_a_remedy() {
    let mut encoder = zstd::Encoder::new(Vec::new(), 1).expect("memory");
    encoder.window_log(28).expect("a window");
    encoder.write_all(&Format::PCAP.write(ETHERNET, &samples())).expect("memory");
    let packed = encoder.finish().expect("memory");
    let message =
        CaptureReader::new(Cursor::new(packed), "packed").expect_err("refused").to_string();
    assert!(message.starts_with("`packed` cannot be unpacked (zstd) beyond byte 0"), "{message}");
    assert!(message.ends_with("`unzstd --long=31`"), "{message}");
}

#[test]
fn a_file_unpacked_ahead_gives_the_same_frames_and_the_same_faults() {
    let plain = Format::PCAP.write(ETHERNET, &samples());
    for (compression, pack) in PACKS {
        let packed = pack(&plain);
        let cut = [&packed[..], &pack(&plain)[..20]].concat();
        let mut damaged = packed.clone();
        damaged.extend([0x55; 18]);
        for (bytes, lost, ends_well) in [(packed, 0, true), (cut, 1, true), (damaged, 0, false)] {
            let file = file_of(&bytes);
            for ahead in [false, true] {
                let mut reader = CaptureReader::open_with(file.path(), ahead).expect("a header");
                let mut frames = 0;
                let ended = loop {
                    match reader.next_frame() {
                        Ok(Some(_)) => frames += 1,
                        Ok(None) => break true,
                        Err(_) => break false,
                    }
                };
                assert_eq!((frames, ended), (40, ends_well), "{compression} ahead {ahead}");
                assert_eq!(reader.report().lost(), lost, "{compression} ahead {ahead}");
                let progress = reader.progress();
                assert_eq!(progress.size(), Some(bytes.len() as u64));
                if ends_well {
                    assert_eq!(progress.read(), bytes.len() as u64);
                }
            }
        }
    }
}

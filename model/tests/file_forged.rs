//! Forged model files: parts changed at random and sealed anew, so that they reach what reads
//! them. Loading refuses them or gives a model that works; it never panics, and never takes more
//! memory than a small multiple of what the file may hold.

#[path = "support/exchange.rs"]
mod exchange;
mod support;

use std::alloc::{GlobalAlloc, Layout, System};
use std::io::{Cursor, Read, Write};
use std::sync::atomic::{AtomicUsize, Ordering};

use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng, SeedableRng};
use sha2::{Digest, Sha256};
use weir_model::ModelFile;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

/// Counts what is allocated at a time.
struct Counting;

static NOW: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);

// SAFETY: it hands every request on to the system's allocator as it is.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let now = NOW.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        MOST.fetch_max(now, Ordering::Relaxed);
        // SAFETY: the caller's promises are those that the system's allocator asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        NOW.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Most that one of these small files may take while it is read and used: far below what its
/// numbers could ask for (2³² scores, 2⁶⁴ edges), and above what the largest parts need.
const MEMORY: usize = 24 << 20;

type Parts = Vec<(String, Vec<u8>)>;

fn unpack(bytes: &[u8]) -> Parts {
    let mut zip = ZipArchive::new(Cursor::new(bytes)).unwrap();
    let mut part = |at| {
        let mut part = zip.by_index(at).unwrap();
        let mut content = Vec::new();
        part.read_to_end(&mut content).unwrap();
        (part.name().unwrap().into_owned(), content)
    };
    (0..11).map(&mut part).collect()
}

fn pack(parts: &Parts) -> Vec<u8> {
    // Stored, so that a case costs no compression.
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in parts {
        zip.start_file(name.as_str(), options).unwrap();
        zip.write_all(content).unwrap();
    }
    zip.set_comment(format!("weir-sha256:{}", "0".repeat(64))).unwrap();
    let mut bytes = zip.finish().unwrap().into_inner();
    seal(&mut bytes);
    bytes
}

fn seal(bytes: &mut [u8]) {
    let body = bytes.len() - 64;
    let digits = format!("{:x}", Sha256::digest(&bytes[..body]));
    bytes[body..].copy_from_slice(digits.as_bytes());
}

struct Forger(Xoshiro256PlusPlus);

impl Forger {
    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.0.next_u64() % bound.max(1) as u64).unwrap()
    }

    /// Changes one part, or the list of parts.
    fn forge(&mut self, parts: &mut Parts) {
        let at = self.below(parts.len());
        match self.below(20) {
            0 => drop(parts.remove(at)),
            1 => parts.push((format!("more-{}.bin", parts.len()), vec![1; 10])),
            2 => {
                let other = self.below(parts.len());
                let content = parts[other].1.clone();
                parts[at].1 = content;
            }
            _ => self.forge_content(&mut parts[at].1),
        }
    }

    fn forge_content(&mut self, content: &mut Vec<u8>) {
        let at = self.below(content.len());
        match self.below(8) {
            0 => content.truncate(at),
            1 => content.insert(at, self.below(256).to_le_bytes()[0]),
            2 => {
                let end = (at + 1 + self.below(64)).min(content.len());
                let again = content[at..end].to_vec();
                content.splice(at..at, again);
            }
            3 => self.write(content, at),
            4 => {
                // A number of a text: the manifest's, or by chance.
                let digit = content.iter().skip(at).position(u8::is_ascii_digit);
                if let Some(digit) = digit {
                    content.splice(at + digit..=at + digit, *b"9999999999999999999");
                }
            }
            _ => {
                for _ in 0..=self.below(4) {
                    let at = self.below(content.len());
                    if let Some(byte) = content.get_mut(at) {
                        *byte ^= 1 << self.below(8);
                    }
                }
            }
        }
    }

    /// Overwrites some bytes with a number that is hard to bear.
    fn write(&mut self, content: &mut [u8], at: usize) {
        let hard: [&[u8]; 9] = [
            &[0xff; 8],
            &[0; 8],
            &u32::MAX.to_le_bytes(),
            &(1_u32 << 31).to_le_bytes(),
            &u16::MAX.to_le_bytes(),
            &f32::NAN.to_le_bytes(),
            &f32::INFINITY.to_le_bytes(),
            &f64::NAN.to_le_bytes(),
            &f64::MIN_POSITIVE.to_le_bytes(),
        ];
        let hard = hard[self.below(hard.len())];
        let end = (at + hard.len()).min(content.len());
        content[at..end].copy_from_slice(&hard[..end - at]);
    }
}

/// Uses a loaded model as a node does, on rows that are ordinary and rows that are not.
fn make_use_of(model: &ModelFile) {
    for detector in model.detectors().values() {
        let width = detector.schema().features.len();
        for value in [0.5, -1e30, f32::MAX, f32::NAN, f32::INFINITY] {
            let row = vec![value; width];
            let score = detector.score_row(&row);
            assert!((0.0..=1.0).contains(&score), "{score}");
            assert!((0.0..=1.0).contains(&detector.p_value(score).conditional));
            assert!((0.0..=36.0).contains(&detector.tail_score(&row)));
            assert!(detector.surprise(score).is_finite());
            assert_eq!(detector.explain(&row).contributions.len(), detector.inputs().len());
        }
    }
    let again = ModelFile::from_bytes(&model.to_bytes().unwrap()).unwrap();
    assert_eq!(again.detectors(), model.detectors());
}

/// Forges a model so many times.
fn check(model: &ModelFile, cases: u64, seed: u64) {
    let bytes = model.to_bytes().unwrap();
    let parts = unpack(&bytes);
    make_use_of(&ModelFile::from_bytes(&pack(&parts)).unwrap());
    let (mut forger, mut accepted) = (Forger(Xoshiro256PlusPlus::seed_from_u64(seed)), 0);
    for case in 0..cases {
        let bytes = if case % 8 == 0 {
            // The container itself.
            let mut bytes = bytes.clone();
            let body = bytes.len() - 64;
            for _ in 0..=forger.below(5) {
                let at = forger.below(body);
                bytes[at] = forger.below(256).to_le_bytes()[0];
            }
            seal(&mut bytes);
            bytes
        } else {
            let mut parts = parts.clone();
            for _ in 0..=forger.below(3) {
                forger.forge(&mut parts);
            }
            pack(&parts)
        };
        let before = NOW.load(Ordering::Relaxed);
        MOST.store(before, Ordering::Relaxed);
        if let Ok(model) = ModelFile::from_bytes(&bytes) {
            make_use_of(&model);
            accepted += 1;
        }
        let taken = MOST.load(Ordering::Relaxed) - before;
        assert!(taken < MEMORY, "case {case} took {taken} bytes");
    }
    // Most changes are refused; those that are not give working models.
    assert!(accepted > 0 && accepted < cases / 2, "{accepted} of {cases} accepted");
}

// One test, since what is allocated is counted for the whole process.
#[test]
fn a_forged_file_is_refused_or_works_and_never_takes_much_memory() {
    check(&support::forests(), 3_000, 1);
    let packed = [("peer-1s", "torch_autoencoder.onnx"), ("net-60s", "lgbm_regressor.onnx")]
        .map(|(channel, name)| (channel.parse().unwrap(), exchange::packed(name, 50)));
    check(&ModelFile::new(packed, support::CREATED).unwrap(), 500, 2);
}

//! A stream larger than the memory it may take: counted at the allocator.

#![expect(unsafe_code, reason = "an allocator that counts")]

mod support;

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

use forest::IsolationForest;
use linfa::ParamGuard;
use support::{Stream, schema};
use training::{Method, Plan, train};

struct Counting;

static HELD: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call is passed on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let held = HELD.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        MOST.fetch_max(held, Ordering::Relaxed);
        // SAFETY: the caller's promise about `layout` is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: `pointer` came from `alloc` above, with this layout.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Bytes held at most beyond those held before, while training on that many windows; and what the
/// report told of them.
fn most_bytes(windows: u32) -> (usize, u64) {
    let stream = Stream { windows, peers: 250, windows_a_block: 4, ..Stream::default() };
    let params = IsolationForest::params().n_trees(25).check().unwrap();
    let mut plan = Plan::new(Method::Forest(params));
    // Nearly all trains: the calibration keeps 8 bytes of each held-out row, up to 1,048,576 rows.
    plan.split.share = 0.99;
    let before = HELD.load(Ordering::Relaxed);
    MOST.store(before, Ordering::Relaxed);
    let trained = train(&stream, &schema(), &plan).unwrap();
    assert_eq!(trained.report.rows.read, u64::from(windows) * 250);
    (MOST.load(Ordering::Relaxed) - before, trained.report.memory_bytes)
}

#[test]
fn memory_does_not_grow_with_the_stream() {
    const ROW: usize = 5 * size_of::<f32>();
    // 100,000 rows more than fill the profile's sample of 65,536; 800,000 are 16 MB.
    let (short, told) = most_bytes(400);
    let (long, _) = most_bytes(3_200);
    println!("{short} bytes for 2 MB of rows, {long} for 16 MB; told {told}");
    assert!(long < short + short / 4, "{long} {short}");
    assert!(long < 3_200 * 250 * ROW / 5, "{long} bytes are a good part of the stream");
    assert!((short as u64) < 2 * told, "told {told} bytes, held {short}");
}

//! Fixtures, and numbers that are the same in every run.

#![expect(dead_code, reason = "each test file uses a part")]

use std::path::PathBuf;

use serde_json::Value;

pub(crate) fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

pub(crate) fn fixture(name: &str) -> Vec<u8> {
    let path = path(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

pub(crate) fn expected() -> Value {
    serde_json::from_slice(&fixture("expected.json")).expect("expected.json is JSON")
}

/// Numbers of a list; null is NaN.
pub(crate) fn numbers(value: &Value) -> Vec<f64> {
    let of_one = |value: &Value| value.as_f64().unwrap_or(f64::NAN);
    value.as_array().expect("a list").iter().map(of_one).collect()
}

#[expect(clippy::cast_possible_truncation, reason = "written from f32")]
pub(crate) fn rows(value: &Value) -> Vec<f32> {
    value.as_array().expect("rows").iter().flat_map(numbers).map(|x| x as f32).collect()
}

/// All fixtures that hold a model, by name.
pub(crate) fn models() -> Vec<(String, Vec<u8>)> {
    let mut names: Vec<String> = std::fs::read_dir(path(""))
        .expect("fixtures are there")
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.strip_suffix(".onnx").is_some())
        .collect();
    names.sort_unstable();
    names.into_iter().map(|name| (name.clone(), fixture(&name))).collect()
}

/// `SplitMix64`: Steele, Lea, Flood 2014, *Fast splittable pseudorandom number generators*.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    #[expect(clippy::cast_possible_truncation, reason = "below a usize")]
    pub(crate) fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    /// In [−1, 1).
    pub(crate) fn unit(&mut self) -> f32 {
        (self.next() >> 40) as f32 / 8_388_608.0 - 1.0
    }
}

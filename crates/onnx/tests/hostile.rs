//! Files that are cut, flipped or spliced are refused or read, never fatal.

#[expect(dead_code, reason = "a part of the messages is changed here")]
#[path = "../src/pb.rs"]
mod pb;
mod support;

use std::time::{Duration, Instant};

use pb::ModelProto;
use prost::Message;
use support::{Random, models};
use weir_onnx::OnnxModel;

/// Mutants of each fixture.
const MUTANTS: usize = 120;

/// Longest that reading and scoring a mutant of a fixture of at most 120 kB may take, on a busy
/// machine in an unoptimised build. Measured: 0.3 s.
const LONGEST: Duration = Duration::from_secs(20);

/// Reads a mutant, and scores with it where it is still a model: all scores must be finite.
fn survives(name: &str, mutant: &[u8]) -> bool {
    let started = Instant::now();
    let model = OnnxModel::from_bytes(mutant);
    if let Ok(model) = &model {
        let width = model.n_features();
        let values = [0.0, -1.0, 1e9, f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MAX, 0.5];
        let rows: Vec<f32> = (0..3 * width).map(|at| values[at % values.len()]).collect();
        let mut scores = [f32::NAN; 3];
        model.score_rows(&rows, &mut scores);
        assert!(scores.iter().all(|score| score.is_finite()), "{name}: {scores:?}");
        let baseline = vec![0.0; width];
        let credit = model.contributions(&rows[..width], &baseline);
        assert!(credit.iter().all(|credit| credit.is_finite()), "{name}: {credit:?}");
    }
    assert!(started.elapsed() < LONGEST, "{name}: {:?}", started.elapsed());
    model.is_ok()
}

fn mutate(random: &mut Random, file: &[u8], other: &[u8]) -> Vec<u8> {
    let mut mutant = file.to_vec();
    match random.below(4) {
        0 => mutant.truncate(random.below(file.len())),
        1 => {
            for _ in 0..=random.below(4) {
                let at = random.below(mutant.len());
                mutant[at] ^= 1 << random.below(8);
            }
        }
        2 => {
            let at = random.below(mutant.len());
            let end = (at + random.below(9)).min(mutant.len());
            let from = random.below(other.len());
            let until = (from + random.below(60)).min(other.len());
            mutant.splice(at..end, other[from..until].iter().copied());
        }
        // Overwrites, so that lengths still fit and the contents are read.
        _ => {
            let at = random.below(mutant.len());
            let bytes = [0x00, 0xff, 0x7f, 0x80, 0x01];
            let end = (at + 1 + random.below(8)).min(mutant.len());
            mutant[at..end].fill(bytes[random.below(bytes.len())]);
        }
    }
    mutant
}

#[test]
fn no_mutant_of_a_model_is_fatal() {
    let models = models();
    let mut random = Random(2_025);
    let (mut all, mut read) = (0, 0);
    for (at, (name, file)) in models.iter().enumerate() {
        let (_, other) = &models[(at + 1) % models.len()];
        for _ in 0..MUTANTS {
            let mutant = mutate(&mut random, file, other);
            all += 1;
            read += usize::from(survives(name, &mutant));
        }
    }
    println!("{all} mutants, {read} of them models");
    assert!(read > all / 20, "mutants must reach the code behind the parser");
    assert!(read < all, "some mutants must be refused");
}

/// A list or number of a decoded model with one entry changed: still protobuf, and often still
/// a graph.
fn mutate_inside(random: &mut Random, file: &[u8]) -> Vec<u8> {
    let mut model = ModelProto::decode(file).expect("a fixture is a model");
    let graph = model.graph.as_mut().expect("a fixture has a graph");
    let odd_ints = [0, 1, -1, 2, 7, 4_096, i64::MAX, i64::MIN, 1 << 32];
    let odd_floats = [0.0, -0.0, f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MAX, 1e-45, -3.0];
    let int = odd_ints[random.below(odd_ints.len())];
    let float = odd_floats[random.below(odd_floats.len())];
    let node = random.below(graph.node.len());
    match random.below(8) {
        0 if !graph.initializer.is_empty() => {
            let at = random.below(graph.initializer.len());
            let tensor = &mut graph.initializer[at];
            if let Some(last) = tensor.raw_data.last_chunk_mut::<4>() {
                *last = float.to_le_bytes();
            }
        }
        1 if !graph.initializer.is_empty() => {
            let at = random.below(graph.initializer.len());
            if let Some(dim) = graph.initializer[at].dims.first_mut() {
                *dim = int;
            }
        }
        2 => {
            // Another input: cycles, wrong shapes, trees into networks.
            let from = random.below(graph.node.len());
            let name = graph.node[from].output[0].clone();
            let inputs = &mut graph.node[node].input;
            if !inputs.is_empty() {
                let at = random.below(inputs.len());
                inputs[at] = name;
            }
        }
        3 => {
            let ops = ["Add", "MatMul", "Relu", "Concat", "Pow", "Neg", "Reshape", "Gather", "Sum"];
            graph.node[node].op_type = ops[random.below(ops.len())].into();
        }
        _ => {
            // Trees hold nearly all their attributes in one node: look for one that has some.
            let with = graph.node.iter().position(|node| node.attribute.len() > 8);
            let attributes = &mut graph.node[with.unwrap_or(node)].attribute;
            if !attributes.is_empty() {
                let at = random.below(attributes.len());
                let attribute = &mut attributes[at];
                attribute.i = int;
                attribute.f = float;
                let (ints, floats) = (attribute.ints.len(), attribute.floats.len());
                if ints > 0 {
                    attribute.ints[random.below(ints)] = int;
                }
                if floats > 0 {
                    attribute.floats[random.below(floats)] = float;
                }
            }
        }
    }
    model.encode_to_vec()
}

#[test]
fn no_odd_number_in_a_model_is_fatal() {
    let mut random = Random(2_026);
    let (mut all, mut read) = (0, 0);
    for (name, file) in &models() {
        for _ in 0..MUTANTS / 5 {
            all += 1;
            read += usize::from(survives(name, &mutate_inside(&mut random, file)));
        }
    }
    println!("{all} mutants, {read} of them models");
    assert!(read > all / 5 && read < all, "{read} of {all}");
}

#[test]
fn every_beginning_of_a_small_model_is_refused() {
    for (name, file) in models().iter().filter(|(_, file)| file.len() < 1_500) {
        for length in (0..file.len()).step_by(3) {
            // A file may end after its last model field but one: metadata is optional.
            if OnnxModel::from_bytes(&file[..length]).is_ok() {
                assert!(length + 120 > file.len(), "{name} is read from {length} bytes");
            }
        }
    }
}

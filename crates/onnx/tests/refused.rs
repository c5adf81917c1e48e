//! Refusals: operators that are not read are named, with a way out; nothing is read by halves.

#[expect(dead_code, reason = "a part of the messages is changed here")]
#[path = "../src/pb.rs"]
mod pb;
mod support;

use pb::{GraphProto, ModelProto, NodeProto, TensorProto};
use prost::Message;
use support::fixture;
use weir_onnx::{OnnxError, OnnxModel};

/// Reads a fixture after a change to its graph.
fn changed(name: &str, change: impl FnOnce(&mut GraphProto)) -> OnnxError {
    let mut model = ModelProto::decode(&*fixture(name)).expect("a fixture is a model");
    change(model.graph.as_mut().expect("a fixture has a graph"));
    match OnnxModel::from_bytes(&model.encode_to_vec()) {
        Ok(model) => panic!("read as {}", model.describe()),
        Err(error) => error,
    }
}

fn check(error: &OnnxError, expected: &str) {
    assert_eq!(error.to_string(), expected);
}

fn node<'a>(graph: &'a mut GraphProto, op: &str) -> &'a mut NodeProto {
    graph.node.iter_mut().find(|node| node.op_type == op).expect("the fixture has the operator")
}

fn floats<'a>(node: &'a mut NodeProto, name: &str) -> &'a mut Vec<f32> {
    let attribute = node.attribute.iter_mut().find(|attribute| attribute.name == name);
    &mut attribute.expect("the node has the attribute").floats
}

fn ints<'a>(node: &'a mut NodeProto, name: &str) -> &'a mut Vec<i64> {
    let attribute = node.attribute.iter_mut().find(|attribute| attribute.name == name);
    &mut attribute.expect("the node has the attribute").ints
}

#[test]
fn an_unknown_operator_is_named_with_its_node_and_a_way_out() {
    check(
        &changed("torch_sigmoid.onnx", |graph| node(graph, "Relu").op_type = "Conv".into()),
        "operator `Conv` of node `/4/Relu` is not supported: use dense layers (Gemm, MatMul), \
         activations, and operators that keep rows apart",
    );
    check(
        &changed("standard_iforest.onnx", |graph| {
            node(graph, "Scaler").op_type = "Normalizer".into();
        }),
        "operator `ai.onnx.ml.Normalizer` of node `Scaler` is not supported: leave row-wise \
         normalisation out of the pipeline, or scale each feature",
    );
    check(
        &changed("iforest.onnx", |graph| node(graph, "Sum").op_type = "Softmax".into()),
        "operator `Softmax` of node `dec_Sum` is not supported: behind trees, export the scoring \
         path alone, from standard dense layers, scalers and trees",
    );
    check(
        &changed("torch_softmax.onnx", |graph| node(graph, "Relu").domain = "com.example".into()),
        "operator `com.example.Relu` of node `/3/Relu` is not supported: export it with operators \
         of the default domain",
    );
}

#[test]
fn a_broken_tree_is_named_down_to_its_node() {
    check(
        &changed("xgb_classifier.onnx", |graph| {
            floats(node(graph, "TreeEnsembleClassifier"), "nodes_values")[0] = f32::NAN;
        }),
        "node `TreeEnsembleClassifier`, tree 0, tree node 0: the threshold is NaN: \
         export the model anew",
    );
    check(
        &changed("xgb_classifier.onnx", |graph| {
            ints(node(graph, "TreeEnsembleClassifier"), "nodes_featureids")[0] = 6;
        }),
        "node `TreeEnsembleClassifier`, tree 0, tree node 0: splits on a feature that rows do not \
         have: export the model anew",
    );
    check(
        &changed("xgb_classifier.onnx", |graph| {
            floats(node(graph, "TreeEnsembleClassifier"), "class_weights")[0] = f32::INFINITY;
        }),
        "node `TreeEnsembleClassifier`: leaf 3 of tree 0 weighs inf: export the model anew",
    );
    let cycle = changed("all_modes.onnx", |graph| {
        let trees = node(graph, "TreeEnsembleRegressor");
        ints(trees, "nodes_truenodeids")[0] = 0;
    });
    assert!(matches!(cycle, OnnxError::InvalidTree { tree: 0, .. }), "{cycle}");
}

#[test]
fn a_graph_that_runs_in_circles_or_reads_what_nobody_makes_is_refused() {
    check(
        &changed("torch_sigmoid.onnx", |graph| {
            node(graph, "Sub").input[0] = "/5/Identity_output_0".into();
        }),
        "node `/0/Sub`: it depends on its own output: export the model anew",
    );
    check(
        &changed("torch_sigmoid.onnx", |graph| node(graph, "Sub").input[0] = "nowhere".into()),
        "node `/0/Sub`: nothing makes its input `nowhere`: export the model anew",
    );
    check(
        &changed("torch_sigmoid.onnx", |graph| {
            graph.output[0].name = "elsewhere".into();
        }),
        "no node makes the output `elsewhere`: export the model together with its last step",
    );
}

#[test]
fn a_network_that_mixes_rows_or_does_not_fit_together_is_refused() {
    check(
        &changed("torch_error.onnx", |graph| {
            ints(node(graph, "ReduceMean"), "axes")[0] = 0;
        }),
        "operator `ReduceMean` of node `/8/ReduceMean` is not supported: reduce the columns \
         (axis 1) alone",
    );
    check(
        &changed("torch_softmax.onnx", |graph| {
            let weights = graph.initializer.iter_mut().find(|tensor| tensor.dims == [12, 6]);
            weights.expect("the first layer's weights").dims = vec![6, 12];
        }),
        "node `/2/Gemm`: its input has 6 columns, its weights 12: export the model anew",
    );
}

#[test]
fn weights_in_another_file_or_fewer_than_said_are_refused() {
    let named = |graph: &mut GraphProto, change: fn(&mut TensorProto)| {
        let tensor = graph.initializer.iter_mut().find(|tensor| tensor.name == "2.weight");
        change(tensor.expect("the first layer's weights"));
    };
    check(
        &changed("torch_softmax.onnx", |graph| named(graph, |t| t.data_location = Some(1))),
        "tensor `2.weight`: its values are in another file: export the model anew, with its \
         weights inside the file",
    );
    check(
        &changed("torch_softmax.onnx", |graph| named(graph, |t| t.dims = vec![1_000, 6])),
        "tensor `2.weight`: it holds 72 values, its dimensions say 6000: export the model anew, \
         with its weights inside the file",
    );
    check(
        &changed("torch_softmax.onnx", |graph| named(graph, |t| t.dims = vec![1 << 40, 1 << 40])),
        "the model has 1099511627776 values in one constant, at most 16777216 are \
         read: export a smaller model",
    );
}

#[test]
fn bytes_that_are_no_model_are_refused() {
    for bytes in [&b""[..], b"PK\x03\x04", &[0xff; 64], b"not a model at all"] {
        let error = OnnxModel::from_bytes(bytes).unwrap_err();
        assert!(matches!(error, OnnxError::Malformed { .. }), "{error}");
    }
}

#[test]
fn a_model_says_what_a_row_passes_through() {
    let said = |name: &str| OnnxModel::from_bytes(&fixture(name)).unwrap().describe().to_string();
    assert_eq!(
        said("standard_iforest.onnx").replace(char::is_numeric, "#"),
        "isolation forest of # features, by skl#onnx #.##.#\n  \
         scale: subtract an offset, multiply by a scale\n  \
         ## trees with ### nodes, at most # levels\n  \
         score from output `score_samples`"
    );
    assert_eq!(
        said("torch_autoencoder.onnx"),
        "autoencoder of 6 features, by pytorch 2.8.0\n  subtract a constant\n  divide by a \
         constant\n  network: Gemm, LeakyRelu, Gemm, Relu, Gemm, Tanh, Gemm\n  score from output \
         `output`"
    );
}

#[test]
fn a_score_does_not_depend_on_the_rows_beside_it() {
    for (name, file) in support::models() {
        let model = OnnxModel::from_bytes(&file).unwrap();
        let passes = model.describe().to_string();
        let sums = passes.contains("Reduce") || passes.contains("Softmax");
        let mut random = support::Random(3);
        let rows: Vec<f32> = (0..1_100 * model.n_features()).map(|_| random.unit() * 3.0).collect();
        let mut scores = vec![0.0; 1_100];
        model.score_rows(&rows, &mut scores);
        for at in (0..1_100).step_by(9).chain([255, 256, 1_023, 1_024, 1_099]) {
            let row = &rows[at * model.n_features()..][..model.n_features()];
            let (alone, beside) = (model.score_row(row), scores[at]);
            if sums {
                // It sums over columns by itself, and tract sums by where they lie.
                assert!((alone - beside).abs() <= 1e-6 * beside.max(1.0), "{name}, row {at}");
            } else {
                assert_eq!(alone.to_bits(), beside.to_bits(), "{name}, row {at}");
            }
        }
    }
}

//! From bytes to something that scores.

mod arithmetic;
mod attributes;
mod constant;
mod ensemble;
mod fold;
mod forest;
mod graph;
pub(crate) mod limits;
mod value;
mod way_out;
mod wire;

use std::collections::HashMap;
use std::rc::Rc;

use prost::Message;

pub(crate) use attributes::Operator;
pub(crate) use constant::Constant;
#[cfg(feature = "networks")]
pub(crate) use constant::Numbers;
pub(crate) use wire::at_most;

use self::fold::fold;
use self::graph::Graph;
use self::value::{Rows, Value};
use crate::errors::OnnxError;
use crate::kind::OnnxKind;
use crate::network::{Network, Plan};
use crate::pb;
use crate::rows::Steps;
use crate::trees::Ensemble;

/// A model that has been read.
pub(crate) struct ReadModel {
    pub(crate) kind: OnnxKind,
    pub(crate) n_features: usize,
    pub(crate) steps: Steps,
    pub(crate) engine: Engine,
    pub(crate) producer: String,
    pub(crate) feature_names: Vec<String>,
    /// The graph's output that the score is made from.
    pub(crate) output: String,
}

#[derive(Clone, Debug)]
pub(crate) enum Engine {
    Trees(Box<Ensemble>),
    Network(Network),
}

/// Metadata key of the features' names, one per line.
pub(crate) const FEATURE_NAMES: &str = "feature_names";

pub(crate) fn read(bytes: &[u8]) -> Result<ReadModel, OnnxError> {
    wire::check(bytes)?;
    let model = pb::ModelProto::decode(bytes).map_err(wire::malformed)?;
    let Some(proto) = &model.graph else {
        return Err(OnnxError::Malformed { what: "it has no graph".into() });
    };
    let graph = Graph::of(proto)?;
    let output = graph.output()?;
    let order = graph.behind(&output.name)?;
    let values = fold_all(&graph, &order)?;
    let classifier = output.is_classifier;
    let (kind, steps, engine) = match values.get(&*output.name) {
        Some(Value::Network) => network(&model, &graph, &order, &values, &output.name, classifier)?,
        Some(value @ (Value::Leafwise(_) | Value::Summed(_) | Value::Scores(_))) => {
            trees(&graph, &output.name, value)?
        }
        _ => {
            return Err(OnnxError::UnsupportedGraph {
                what: format!("output `{}` depends on no trees and no network", output.name),
                way_out: "export the model together with its last step",
            });
        }
    };
    Ok(ReadModel {
        kind,
        n_features: graph.n_features,
        steps,
        engine,
        producer: producer(&model),
        feature_names: feature_names(&model, graph.n_features),
        output: output.name,
    })
}

/// Works out every node's first output, in order.
fn fold_all<'a>(
    graph: &Graph<'a>,
    order: &[&'a pb::NodeProto],
) -> Result<HashMap<&'a str, Value>, OnnxError> {
    let mut values: HashMap<&str, Value> = HashMap::new();
    for (name, tensor) in &graph.initializers {
        if let Some(constant) = Constant::read(tensor)? {
            values.insert(*name, Value::Constant(Rc::new(constant)));
        }
    }
    let rows = Rows { steps: Rc::new(Steps::none(graph.n_features)), columns: None };
    values.insert(graph.input, Value::Rows(rows));
    let mut work = 0_usize;
    for node in order {
        let op = Operator { proto: node };
        let mut inputs = Vec::with_capacity(node.input.len());
        for name in &node.input {
            let value = values.get(&**name).cloned();
            if value.is_none() && !name.is_empty() {
                return Err(graph.missing(op, name));
            }
            inputs.push(value);
        }
        let value = fold(op, &inputs)?;
        work = work.saturating_add(size(&value));
        at_most("leaf values on the way", work, limits::FOLDED_VALUES)?;
        // Of several outputs the first is the label of a classifier, which is never asked for.
        let classifier = op.op() == Some("TreeEnsembleClassifier");
        let Some(output) = node.output.get(usize::from(classifier)) else { continue };
        values.insert(output, value);
    }
    Ok(values)
}

/// Numbers that a value holds and that were worked out or copied for it.
fn size(value: &Value) -> usize {
    match value {
        Value::Constant(_) | Value::Rows(_) | Value::Network => 1,
        Value::Leafwise(leafwise) => leafwise.values.len(),
        Value::Summed(summed) => summed.terms.len(),
        Value::Scores(scores) => scores.ensemble.trees.n_nodes() + scores.ensemble.values.len(),
    }
}

fn trees(
    graph: &Graph<'_>,
    output: &str,
    value: &Value,
) -> Result<(OnnxKind, Steps, Engine), OnnxError> {
    let op = Operator { proto: graph.producer(output) };
    let mut scores = arithmetic::scores(op, value)?;
    if forest::isolate(&mut scores.ensemble) {
        let hits = scores.hits.or_else(|| forest::hits(&scores.ensemble));
        scores.ensemble.settle(hits.as_deref());
        let steps = (*scores.steps).clone();
        return Ok((OnnxKind::IsolationForest, steps, Engine::Trees(Box::new(scores.ensemble))));
    }
    scores.ensemble.settle(scores.hits.as_deref());
    let kind =
        if scores.is_classifier { OnnxKind::TreeClassifier } else { OnnxKind::TreeRegressor };
    Ok((kind, (*scores.steps).clone(), Engine::Trees(Box::new(scores.ensemble))))
}

fn network<'a>(
    model: &'a pb::ModelProto,
    graph: &Graph<'a>,
    order: &[&'a pb::NodeProto],
    values: &HashMap<&'a str, Value>,
    output: &'a str,
    is_classifier: bool,
) -> Result<(OnnxKind, Steps, Engine), OnnxError> {
    let is_network = |node: &&&'a pb::NodeProto| {
        let output = node.output.first().and_then(|name| values.get(&**name));
        matches!(output, Some(Value::Network))
    };
    let mut nodes: Vec<&pb::NodeProto> = order.iter().filter(is_network).copied().collect();
    let output = without_flattening(&mut nodes, values, output);
    let mut inputs: Vec<&str> = Vec::new();
    let mut steps: Option<Steps> = None;
    let mut constants: Vec<(&str, &Constant)> = Vec::new();
    for (node, name) in nodes.iter().flat_map(|node| node.input.iter().map(move |n| (node, n))) {
        match values.get(&**name) {
            Some(Value::Constant(constant)) => constants.push((name, constant)),
            Some(Value::Rows(rows)) if !inputs.contains(&&**name) => {
                let selected = rows.selected();
                if steps.get_or_insert_with(|| selected.clone()) != &selected {
                    let way_out = "let all layers read the rows behind the same scaler";
                    return Err(Operator { proto: node }.unsupported(way_out));
                }
                inputs.push(name);
            }
            _ => {}
        }
    }
    constants.sort_unstable_by_key(|(name, _)| *name);
    constants.dedup_by_key(|(name, _)| *name);
    let Some(steps) = steps else {
        return Err(OnnxError::UnsupportedGraph {
            what: format!("output `{output}` does not depend on the input `{}`", graph.input),
            way_out: "export the model together with its input",
        });
    };
    let opset = model.opset_import.iter().find(|set| matches!(&*set.domain, "" | "ai.onnx"));
    let plan = Plan {
        nodes: &nodes,
        constants: &constants,
        inputs,
        output,
        width: steps.width,
        opset: opset.map_or(0, |set| set.version),
    };
    let network = Network::prepare(&plan)?;
    let like_input = network.n_outputs() == steps.width && steps.width > 1;
    let kind = if like_input && !is_classifier && !network.ends_in_softmax() {
        OnnxKind::Autoencoder
    } else {
        OnnxKind::Network
    };
    Ok((kind, steps, Engine::Network(network)))
}

/// Leaves out a last `Reshape` to one column, and returns the name of what it reshaped.
///
/// skl2onnx ends every `MLPRegressor` with one, even of several outputs, whose rows it then
/// strings together: the numbers are the same and in the same order.
fn without_flattening<'a>(
    nodes: &mut Vec<&'a pb::NodeProto>,
    values: &HashMap<&str, Value>,
    output: &'a str,
) -> &'a str {
    if let [.., _, last] = &**nodes
        && last.op_type == "Reshape"
        && last.output.first().is_some_and(|name| name == output)
        && let [before, shape] = &*last.input
        && let Some(Value::Network) = values.get(&**before)
        && let Some(Value::Constant(shape)) = values.get(&**shape)
        && let Some([-1] | [-1, 1]) = shape.whole()
    {
        nodes.pop();
        return before;
    }
    output
}

fn producer(model: &pb::ModelProto) -> String {
    let text = format!("{} {}", model.producer_name, model.producer_version);
    text.trim().chars().filter(|c| !c.is_control()).take(80).collect()
}

fn feature_names(model: &pb::ModelProto, n_features: usize) -> Vec<String> {
    let entry = model.metadata_props.iter().find(|entry| entry.key == FEATURE_NAMES);
    let names: Vec<String> =
        entry.map_or(Vec::new(), |entry| entry.value.lines().map(str::to_owned).collect());
    if names.len() == n_features { names } else { Vec::new() }
}

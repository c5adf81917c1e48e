//! A dense network in f64, its reconstruction error and that error's gradient.
//!
//! Products are added up along the outputs, one input after the other. The compiler can use
//! vector registers for that without changing the order of any sum, so results are the same on
//! every machine whose `tanh` is.

use forest::Draws;
use onnx::write::{Activation, Layer};

#[derive(Clone, Debug)]
pub(super) struct Network {
    shapes: Vec<Shape>,
    /// Of each layer its weights, inputs × outputs, and then its biases.
    weights: Vec<f64>,
}

#[derive(Clone, Copy, Debug)]
struct Shape {
    inputs: usize,
    outputs: usize,
    activation: Activation,
    /// Place of its first weight.
    at: usize,
}

impl Shape {
    fn bias_at(&self) -> usize {
        self.at + self.inputs * self.outputs
    }

    fn end(&self) -> usize {
        self.bias_at() + self.outputs
    }
}

/// Some rows on their way through a network, and the room that takes; to be used again.
#[derive(Debug, Default)]
pub(super) struct Batch {
    rows: usize,
    /// Inputs of each layer, and outputs of the last.
    values: Vec<Vec<f64>>,
    /// The error's derivative by a layer's output, and by its input.
    slopes: [Vec<f64>; 2],
    gradient: Vec<f64>,
}

impl Batch {
    /// Takes the chosen rows.
    pub(super) fn load(&mut self, rows: &[f64], width: usize, chosen: &[usize]) {
        let input = self.input();
        input.clear();
        for row in chosen {
            input.extend_from_slice(&rows[row * width..(row + 1) * width]);
        }
        self.rows = chosen.len();
    }

    fn take(&mut self, rows: &[f64], width: usize) {
        let input = self.input();
        input.clear();
        input.extend_from_slice(rows);
        self.rows = rows.len() / width;
    }

    fn input(&mut self) -> &mut Vec<f64> {
        if self.values.is_empty() {
            self.values.push(Vec::new());
        }
        &mut self.values[0]
    }
}

impl Network {
    /// Layers of these widths, the last one linear; weights are normal with a variance of
    /// 1 / inputs (`LeCun` 1998) for tanh, 2 / inputs (He 2015) for relu; biases are 0.
    pub(super) fn new(widths: &[usize], activation: Activation, draws: &mut Draws) -> Self {
        let mut network = Self { shapes: Vec::new(), weights: Vec::new() };
        let last = widths.len() - 2;
        for (layer, pair) in widths.windows(2).enumerate() {
            let activation = if layer == last { Activation::Identity } else { activation };
            let (inputs, outputs) = (pair[0], pair[1]);
            network.shapes.push(Shape { inputs, outputs, activation, at: network.weights.len() });
            let gain = if activation == Activation::Relu { 2.0 } else { 1.0 };
            let deviation = (gain / inputs as f64).sqrt();
            network.weights.extend((0..inputs * outputs).map(|_| draws.normal() * deviation));
            network.weights.resize(network.weights.len() + outputs, 0.0);
        }
        network
    }

    pub(super) fn weights(&self) -> &[f64] {
        &self.weights
    }

    pub(super) fn weights_mut(&mut self) -> &mut [f64] {
        &mut self.weights
    }

    fn width(&self) -> usize {
        self.shapes[0].inputs
    }

    /// The mean squared error over the rows and their features.
    pub(super) fn mean_error(&self, rows: &[f64], batch: &mut Batch) -> f64 {
        const AT_ONCE: usize = 1_024;
        let mut sum = 0.0;
        for rows in rows.chunks(AT_ONCE * self.width()) {
            batch.take(rows, self.width());
            self.forward(batch);
            sum += squared_error(batch);
        }
        sum / rows.len() as f64
    }

    /// The derivative of the batch's mean squared error by each weight.
    pub(super) fn gradient<'b>(&self, batch: &'b mut Batch) -> &'b [f64] {
        self.forward(batch);
        batch.gradient.clear();
        batch.gradient.resize(self.weights.len(), 0.0);
        let Batch { rows, values, slopes: [outer, inner], gradient } = batch;
        let (input, output) = (&values[0], &values[self.shapes.len()]);
        let share = 2.0 / input.len() as f64;
        outer.clear();
        outer.extend(output.iter().zip(input).map(|(out, x)| share * (out - x)));
        for (layer, shape) in self.shapes.iter().enumerate().rev() {
            let (entered, left) = (&values[layer], &values[layer + 1]);
            for (slope, value) in outer.iter_mut().zip(left) {
                *slope *= derivative(shape.activation, *value);
            }
            inner.clear();
            inner.resize(*rows * shape.inputs, 0.0);
            let (weights, biases) =
                gradient[shape.at..shape.end()].split_at_mut(shape.inputs * shape.outputs);
            for row in 0..*rows {
                let slopes = &outer[row * shape.outputs..][..shape.outputs];
                for (bias, slope) in biases.iter_mut().zip(slopes) {
                    *bias += slope;
                }
                for input in 0..shape.inputs {
                    let value = entered[row * shape.inputs + input];
                    let at = input * shape.outputs;
                    let mut back = 0.0;
                    let weights_of = &self.weights[shape.at + at..][..shape.outputs];
                    for ((sum, slope), weight) in
                        weights[at..at + shape.outputs].iter_mut().zip(slopes).zip(weights_of)
                    {
                        *sum += value * slope;
                        back += weight * slope;
                    }
                    inner[row * shape.inputs + input] = back;
                }
            }
            std::mem::swap(outer, inner);
        }
        gradient
    }

    fn forward(&self, batch: &mut Batch) {
        batch.values.resize_with(self.shapes.len() + 1, Vec::new);
        for (layer, shape) in self.shapes.iter().enumerate() {
            let (before, after) = batch.values.split_at_mut(layer + 1);
            let (entering, leaving) = (&before[layer], &mut after[0]);
            let bias = &self.weights[shape.bias_at()..shape.end()];
            leaving.clear();
            for row in entering.chunks_exact(shape.inputs) {
                let from = leaving.len();
                leaving.extend_from_slice(bias);
                let out = &mut leaving[from..];
                for (input, value) in row.iter().enumerate() {
                    let weights = &self.weights[shape.at + input * shape.outputs..];
                    for (sum, weight) in out.iter_mut().zip(&weights[..shape.outputs]) {
                        *sum += value * weight;
                    }
                }
                activate(shape.activation, out);
            }
        }
    }

    /// The layers as they are written: rounded to f32.
    #[expect(clippy::cast_possible_truncation, reason = "ONNX holds f32")]
    pub(super) fn layers(&self) -> Vec<Layer> {
        let narrow = |values: &[f64]| values.iter().map(|value| *value as f32).collect();
        self.shapes
            .iter()
            .map(|shape| Layer {
                weights: narrow(&self.weights[shape.at..shape.bias_at()]),
                bias: narrow(&self.weights[shape.bias_at()..shape.end()]),
                activation: shape.activation,
            })
            .collect()
    }
}

fn squared_error(batch: &Batch) -> f64 {
    let (input, output) = (&batch.values[0], &batch.values[batch.values.len() - 1]);
    output.iter().zip(input).map(|(out, x)| (out - x).powi(2)).sum()
}

pub(super) fn activate(activation: Activation, values: &mut [f64]) {
    match activation {
        Activation::Tanh => values.iter_mut().for_each(|value| *value = value.tanh()),
        Activation::Relu => values.iter_mut().for_each(|value| *value = value.max(0.0)),
        _ => {}
    }
}

/// An activation's derivative, by what it gave.
fn derivative(activation: Activation, value: f64) -> f64 {
    match activation {
        Activation::Tanh => 1.0 - value * value,
        Activation::Relu => f64::from(u8::from(value > 0.0)),
        _ => 1.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gradient_is_what_finite_differences_find() {
        const STEP: f64 = 1e-6;
        for activation in [Activation::Tanh, Activation::Relu] {
            let mut draws = Draws::new(11, 0);
            let mut network = Network::new(&[4, 3, 2, 3, 4], activation, &mut draws);
            let rows: Vec<f64> = (0..28).map(|_| draws.normal()).collect();
            let mut batch = Batch::default();
            batch.take(&rows, 4);
            let gradient = network.gradient(&mut batch).to_vec();
            for (at, slope) in gradient.iter().enumerate() {
                let weight = network.weights[at];
                let mut error = |weight: f64| {
                    network.weights[at] = weight;
                    network.mean_error(&rows, &mut batch)
                };
                let found = (error(weight + STEP) - error(weight - STEP)) / (2.0 * STEP);
                error(weight);
                assert!((found - slope).abs() < 1e-7, "{activation:?} {at}: {found} {slope}");
            }
            assert!(gradient.iter().any(|slope| slope.abs() > 1e-3));
        }
    }
}

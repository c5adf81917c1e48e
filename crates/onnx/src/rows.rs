//! Steps before trees or a network: scalers and the like.

/// An operator over all rows, with one constant per column. Computed in `f32`, in the order
/// of the file, as onnxruntime does.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Step {
    Add(Vec<f32>),
    Subtract(Vec<f32>),
    /// c − x.
    SubtractFrom(Vec<f32>),
    Multiply(Vec<f32>),
    Divide(Vec<f32>),
    /// (x − offset) × scale.
    Scale {
        offset: Vec<f32>,
        scale: Vec<f32>,
    },
    Clip {
        low: f32,
        high: f32,
    },
    Map(Map),
    /// Values that are `missing` become others.
    Impute {
        missing: f32,
        with: Vec<f32>,
    },
    /// Columns, in a new order.
    Select(Vec<u16>),
}

/// A function of one value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Map {
    Abs,
    Exp,
    Log,
    Negate,
    Sqrt,
}

/// Steps from the model's input on, and the width behind the last one.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Steps {
    pub(crate) list: Vec<Step>,
    pub(crate) width: usize,
    n_features: usize,
}

/// Steps that are read at most; a scaler is one.
pub(crate) const MAX_STEPS: usize = 64;

impl Steps {
    pub(crate) fn none(n_features: usize) -> Self {
        Self { list: Vec::new(), width: n_features, n_features }
    }

    pub(crate) fn then(&self, step: Step) -> Self {
        let width = if let Step::Select(columns) = &step { columns.len() } else { self.width };
        let list = self.list.iter().cloned().chain([step]).collect();
        Self { list, width, n_features: self.n_features }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Takes rows of the model's input through all steps, into `out`.
    pub(crate) fn apply(&self, rows: &[f32], out: &mut Vec<f32>) {
        out.clear();
        out.extend_from_slice(rows);
        let mut width = self.n_features;
        for step in &self.list {
            if let Step::Select(columns) = step {
                let selected = out
                    .chunks_exact(width)
                    .flat_map(|row| columns.iter().map(|column| row[usize::from(*column)]))
                    .collect();
                *out = selected;
                width = columns.len();
            } else {
                step.apply(out, width);
            }
        }
    }

    /// The feature that each column behind the last step stems from.
    pub(crate) fn origins(&self) -> Vec<usize> {
        let mut origins: Vec<usize> = (0..self.n_features).collect();
        for step in &self.list {
            if let Step::Select(columns) = step {
                origins = columns.iter().map(|column| origins[usize::from(*column)]).collect();
            }
        }
        origins
    }

    /// A line for each step.
    pub(crate) fn describe(&self) -> Vec<String> {
        self.list.iter().map(Step::describe).collect()
    }
}

impl Step {
    #[expect(clippy::float_cmp, reason = "ONNX's Imputer compares exactly")]
    fn apply(&self, rows: &mut [f32], width: usize) {
        match self {
            Self::Add(c) => zip(rows, width, c, |x, c| x + c),
            Self::Subtract(c) => zip(rows, width, c, |x, c| x - c),
            Self::SubtractFrom(c) => zip(rows, width, c, |x, c| c - x),
            Self::Multiply(c) => zip(rows, width, c, |x, c| x * c),
            Self::Divide(c) => zip(rows, width, c, |x, c| x / c),
            Self::Scale { offset, scale } => {
                zip(rows, width, offset, |x, c| x - c);
                zip(rows, width, scale, |x, c| x * c);
            }
            Self::Clip { low, high } => {
                for value in rows {
                    // Unlike `clamp`, total for low > high and for NaN.
                    *value = if *value < *low { *low } else { *value };
                    *value = if *value > *high { *high } else { *value };
                }
            }
            Self::Map(map) => {
                for value in rows {
                    *value = map.of(*value);
                }
            }
            Self::Impute { missing, with } => {
                let is_missing = |x: f32| x == *missing || (missing.is_nan() && x.is_nan());
                zip(rows, width, with, |x, c| if is_missing(x) { c } else { x });
            }
            // Changes the width, so `Steps::apply` does it.
            Self::Select(_) => {}
        }
    }

    fn describe(&self) -> String {
        match self {
            Self::Add(_) => "add a constant".into(),
            Self::Subtract(_) | Self::SubtractFrom(_) => "subtract a constant".into(),
            Self::Multiply(_) => "multiply by a constant".into(),
            Self::Divide(_) => "divide by a constant".into(),
            Self::Scale { .. } => "scale: subtract an offset, multiply by a scale".into(),
            Self::Clip { low, high } => format!("clip to {low} to {high}"),
            Self::Map(map) => format!("{map:?}").to_lowercase(),
            Self::Impute { missing, .. } => format!("replace {missing}"),
            Self::Select(columns) => format!("select {} columns", columns.len()),
        }
    }
}

impl Map {
    pub(crate) fn of(self, x: f32) -> f32 {
        match self {
            Self::Abs => x.abs(),
            Self::Exp => x.exp(),
            Self::Log => x.ln(),
            Self::Negate => -x,
            Self::Sqrt => x.sqrt(),
        }
    }
}

fn zip(rows: &mut [f32], width: usize, constants: &[f32], f: impl Fn(f32, f32) -> f32) {
    for row in rows.chunks_exact_mut(width) {
        for (value, constant) in row.iter_mut().zip(constants) {
            *value = f(*value, *constant);
        }
    }
}

//! From the sums of trees to a score.

/// ONNX's `post_transform`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Post {
    None,
    Logistic,
    Softmax,
    SoftmaxZero,
    Probit,
}

impl Post {
    pub(crate) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "NONE" => Self::None,
            "LOGISTIC" => Self::Logistic,
            "SOFTMAX" => Self::Softmax,
            "SOFTMAX_ZERO" => Self::SoftmaxZero,
            "PROBIT" => Self::Probit,
            _ => return None,
        })
    }

    /// The transformed value of `column` among `values`.
    pub(crate) fn of(self, values: &[f64], column: usize) -> f64 {
        let value = values[column];
        match self {
            Self::None => value,
            Self::Logistic => logistic(value),
            Self::Probit => probit(value),
            Self::Softmax | Self::SoftmaxZero => {
                // onnxruntime's SOFTMAX_ZERO leaves zeros at zero.
                let takes_part = |value: f64| self == Self::Softmax || value.abs() > 1e-7;
                if !takes_part(value) {
                    return 0.0;
                }
                let greatest = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                let others = values.iter().filter(|value| takes_part(**value));
                (value - greatest).exp() / others.map(|other| (other - greatest).exp()).sum::<f64>()
            }
        }
    }
}

pub(crate) fn logistic(value: f64) -> f64 {
    1.0 / (1.0 + (-value).exp())
}

/// √2 · erf⁻¹(2x − 1) by Winitzki's approximation with onnxruntime's constants
/// (`ml_common.h`): the exact inverse would differ from it in the third digit.
#[expect(clippy::approx_constant, reason = "onnxruntime's, not π")]
fn probit(value: f64) -> f64 {
    let x = 2.0 * value - 1.0;
    let sign = if x < 0.0 { -1.0 } else { 1.0 };
    let log = ((1.0 - x) * (1.0 + x)).ln();
    let v = 2.0 / (3.141_59 * 0.147) + 0.5 * log;
    let root = (v * v - log / 0.147).sqrt() - v;
    std::f64::consts::SQRT_2 * sign * root.sqrt()
}

/// An operator with constants that follows the trees' result.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Tail {
    Negate,
    Add(f64),
    /// c − x.
    SubtractFrom(f64),
    Multiply(f64),
    Divide(f64),
    /// c / x.
    DivideInto(f64),
    /// cˣ.
    PowerOf(f64),
    /// xᶜ.
    Power(f64),
    Exp,
    Log,
    Sqrt,
    Abs,
    Logistic,
    Tanh,
    AtLeast(f64),
    AtMost(f64),
}

impl Tail {
    pub(crate) fn of(self, x: f64) -> f64 {
        match self {
            Self::Negate => -x,
            Self::Add(c) => x + c,
            Self::SubtractFrom(c) => c - x,
            Self::Multiply(c) => x * c,
            Self::Divide(c) => x / c,
            Self::DivideInto(c) => c / x,
            Self::PowerOf(c) => c.powf(x),
            Self::Power(c) => x.powf(c),
            Self::Exp => x.exp(),
            Self::Log => x.ln(),
            Self::Sqrt => x.sqrt(),
            Self::Abs => x.abs(),
            Self::Logistic => logistic(x),
            Self::Tanh => x.tanh(),
            Self::AtLeast(c) => x.max(c),
            Self::AtMost(c) => x.min(c),
        }
    }

    /// Adds, subtracts, multiplies or divides by a constant: keeps lines straight.
    pub(crate) fn is_affine(self) -> bool {
        matches!(
            self,
            Self::Negate
                | Self::Add(_)
                | Self::SubtractFrom(_)
                | Self::Multiply(_)
                | Self::Divide(_)
        )
    }
}

//! The features that a scorer reads, of all that a table has.

use std::borrow::Cow;

use thiserror::Error;

use features::SchemaId;

/// Which features of a schema a scorer reads, and in what order.
///
/// Rows outside of this crate always have the schema's whole width; this is what makes a
/// scorer's rows of them. A forest fitted here reads its features in the schema's order; a network
/// made elsewhere may read them in any.
///
/// ```
/// use features::SchemaId;
/// use weir_model::Inputs;
///
/// let schema = SchemaId {
///     name: "example.v1".into(),
///     hash: "00".into(),
///     features: vec!["rate".into(), "size".into(), "age".into()],
/// };
/// let inputs = Inputs::of(&schema, &["age", "rate"])?;
/// assert_eq!(inputs.project(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0])[..], [3.0, 1.0, 6.0, 4.0]);
/// # Ok::<(), weir_model::InputsError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inputs {
    names: Vec<String>,
    /// The place of each in a whole row.
    places: Vec<usize>,
    /// Features of a whole row.
    width: usize,
}

/// A choice of features that a schema does not have, or not once each.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum InputsError {
    /// No feature was chosen.
    #[error("no feature of {schema} is chosen: name at least one of {}", known.join(", "))]
    None {
        /// The schema's name.
        schema: String,
        /// Its features.
        known: Vec<String>,
    },
    /// The schema has no such feature.
    #[error("{schema} has no feature `{name}`: choose among {}", known.join(", "))]
    Unknown {
        /// The schema's name.
        schema: String,
        /// The name asked for.
        name: String,
        /// The schema's features.
        known: Vec<String>,
    },
    /// A feature was chosen twice.
    #[error("feature `{name}` is chosen twice: name it once")]
    Twice {
        /// Its name.
        name: String,
    },
}

impl Inputs {
    /// Every feature of a schema, in its order.
    #[must_use]
    pub fn all(schema: &SchemaId) -> Self {
        let width = schema.features.len();
        Self { names: schema.features.clone(), places: (0..width).collect(), width }
    }

    /// The named features, in the order named.
    pub fn of(schema: &SchemaId, names: &[impl AsRef<str>]) -> Result<Self, InputsError> {
        let known = || schema.features.clone();
        if names.is_empty() {
            return Err(InputsError::None { schema: schema.name.clone(), known: known() });
        }
        let mut places = Vec::with_capacity(names.len());
        for name in names.iter().map(AsRef::as_ref) {
            let place = schema.features.iter().position(|feature| feature == name);
            let place = place.ok_or_else(|| InputsError::Unknown {
                schema: schema.name.clone(),
                name: name.to_owned(),
                known: known(),
            })?;
            if places.contains(&place) {
                return Err(InputsError::Twice { name: name.to_owned() });
            }
            places.push(place);
        }
        let names = names.iter().map(|name| name.as_ref().to_owned()).collect();
        Ok(Self { names, places, width: schema.features.len() })
    }

    /// The features that are not named as left out, in the schema's order.
    pub fn without(schema: &SchemaId, left_out: &[impl AsRef<str>]) -> Result<Self, InputsError> {
        let left_out = if left_out.is_empty() {
            return Ok(Self::all(schema));
        } else {
            Self::of(schema, left_out)?
        };
        let kept: Vec<&String> =
            schema.features.iter().filter(|name| !left_out.names.contains(name)).collect();
        Self::of(schema, &kept)
    }

    /// Their names, in the scorer's order.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Their places in a whole row, in the scorer's order.
    #[must_use]
    pub fn places(&self) -> &[usize] {
        &self.places
    }

    /// Number of inputs, at least one for any schema with features.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "there is always at least one")]
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Features of a whole row.
    #[must_use]
    pub fn width(&self) -> usize {
        self.width
    }

    /// True if the scorer reads whole rows.
    #[must_use]
    pub fn is_all(&self) -> bool {
        self.places.len() == self.width
            && self.places.iter().enumerate().all(|(at, place)| at == *place)
    }

    /// The scorer's rows of whole rows that lie side by side; costs nothing where a whole row is
    /// what the scorer reads, else a copy of the chosen values.
    ///
    /// # Panics
    ///
    /// If `rows` does not divide into rows of [`width`](Self::width) values.
    #[must_use]
    pub fn project<'a>(&self, rows: &'a [f32]) -> Cow<'a, [f32]> {
        assert!(rows.len().is_multiple_of(self.width), "rows must be whole");
        if self.is_all() {
            return Cow::Borrowed(rows);
        }
        let mut chosen = Vec::with_capacity(rows.len() / self.width * self.len());
        for row in rows.chunks_exact(self.width) {
            chosen.extend(self.places.iter().map(|place| row[*place]));
        }
        Cow::Owned(chosen)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema() -> SchemaId {
        let features = ["a", "b", "c"].map(String::from).to_vec();
        SchemaId { name: "weir.flow.v1".into(), hash: "00".into(), features }
    }

    #[test]
    fn all_features_cost_no_copy() {
        let all = Inputs::all(&schema());
        assert!(all.is_all());
        assert!(matches!(all.project(&[1.0, 2.0, 3.0]), Cow::Borrowed(_)));
        let turned = Inputs::of(&schema(), &["c", "b", "a"]).unwrap();
        assert!(!turned.is_all(), "all of them, but in another order");
    }

    #[test]
    fn what_is_left_out_is_not_read() {
        let inputs = Inputs::without(&schema(), &["b"]).unwrap();
        assert_eq!(inputs.names(), ["a", "c"]);
        assert_eq!(inputs.project(&[1.0, 2.0, 3.0])[..], [1.0, 3.0]);
        assert!(Inputs::without(&schema(), &[] as &[&str]).unwrap().is_all());
    }

    #[test]
    fn a_choice_that_cannot_be_is_named_with_the_way_out() {
        let error = |names: &[&str]| Inputs::of(&schema(), names).unwrap_err().to_string();
        assert_eq!(error(&["x"]), "weir.flow.v1 has no feature `x`: choose among a, b, c");
        assert_eq!(error(&["a", "a"]), "feature `a` is chosen twice: name it once");
        assert!(error(&[]).starts_with("no feature of weir.flow.v1 is chosen"));
    }
}

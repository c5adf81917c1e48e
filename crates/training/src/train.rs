//! The whole way from a stream to a calibrated detector.

use features::schema::schema_id;
use features::{Kind, SchemaId};
use forest::IsolationForestValidParams;
use model::{DetectorModel, Inputs, Profile, ProfileBuilder, RowsDigest, TrainingFacts};

use crate::bounds::Bounds;
use crate::contamination::Contamination;
use crate::error::TrainingError;
use crate::features::Extremes;
use crate::fit::{Fitted, Fitting, STOPPING_SHARE};
use crate::plan::{Method, Plan};
use crate::prior::{PRIOR_COUNTS_AS, PriorRows};
use crate::report::{LeftOut, Report, RowCounts, SupportedRates, TimeRange, Trimmed, percent};
use crate::row_filter::{Dropped, RowFilter, Survey};
use crate::source::RowSource;
use crate::split::Part;
use crate::trim::Trim;

/// Held-out rows without which rows that a model can do without get no detector: of a hundred five
/// lie above the quantile from which a tail goes on ([`conformal::Tail`]), and by fewer it is a
/// guess.
pub const ENOUGH_HELD_OUT: u64 = model::assess::ENOUGH_HELD_OUT as u64;

/// What a model file says where a prior was mixed in.
const PRIOR_NOTE: &str = "rows of made-up networks, counted as 10 of its own, hold back its \
                          surprises; no p-value rests on them";

/// Fewest held-out rows that make a calibration.
const LEAST_HELD_OUT: u64 = conformal::MIN_SCORES as u64;

/// A detector, and what became of the rows it was made from.
#[derive(Clone, Debug)]
pub struct Trained {
    /// The detector.
    pub detector: DetectorModel,
    /// Report of the rows read and left out.
    pub report: Report,
}

/// Trains a detector on the rows of `source`, which are rows of `schema`.
///
/// Reads the source three times: to survey it, to fit and to calibrate; once more for histograms
/// or to find constant features, and two times more for each round of trimming and once at its
/// end.
///
/// # Errors
/// A bad row by its number and feature; too few rows, with what became of them; the source's own.
///
/// ```
/// use linfa::ParamGuard;
/// use features::SchemaId;
/// use forest::IsolationForest;
/// use training::{Blocks, Mark, Method, Plan, RowBlock, SourceError, train};
///
/// let schema = SchemaId {
///     name: "example.v1".into(),
///     hash: "00".into(),
///     features: vec!["rate".into(), "size".into()],
/// };
/// // A hundred windows of a second with ten rows each.
/// let source = Blocks(|| {
///     Ok((0..100_i64).map(|window| {
///         Ok::<_, SourceError>(RowBlock {
///             starts_ns: vec![window * 1_000_000_000; 10],
///             ends_ns: vec![(window + 1) * 1_000_000_000; 10],
///             marks: vec![Mark::Unlabelled; 10],
///             rows: (0..20).map(|i| ((window * 20 + i) * 37 % 101) as f32).collect(),
///             ..RowBlock::default()
///         })
///     }))
/// });
/// let plan = Plan::new(Method::Forest(IsolationForest::params().check()?));
/// let trained = train(&source, &schema, &plan)?;
/// assert_eq!((trained.report.rows.trained, trained.report.rows.held_out), (600, 400));
/// assert!(trained.detector.score_row(&[900.0, 50.0]) > trained.detector.score_row(&[50.0, 50.0]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn train(
    source: &dyn RowSource,
    schema: &SchemaId,
    plan: &Plan,
) -> Result<Trained, TrainingError> {
    let few = |trained: &Trained| trained.report.rows.held_out < ENOUGH_HELD_OUT;
    match train_with(source, schema, &plan.without_prior(), LEAST_HELD_OUT) {
        Ok(trained) if few(&trained) && plan.prior().is_some() => {
            train_with(source, schema, plan, LEAST_HELD_OUT)
        }
        trained => trained,
    }
}

/// As [`train`], for rows that a model can do without. Fewer than [`ENOUGH_HELD_OUT`] to calibrate on
/// want a [prior](Plan::prior), and are else an error, which [`TrainingError::is_of_too_few_rows`].
pub fn train_beside(
    source: &dyn RowSource,
    schema: &SchemaId,
    plan: &Plan,
) -> Result<Trained, TrainingError> {
    match train_with(source, schema, &plan.without_prior(), ENOUGH_HELD_OUT) {
        Err(error) if error.is_of_too_few_rows() && plan.prior().is_some() => {
            train_with(source, schema, plan, 0)
        }
        trained => trained,
    }
}

fn train_with(
    source: &dyn RowSource,
    schema: &SchemaId,
    plan: &Plan,
    least_held_out: u64,
) -> Result<Trained, TrainingError> {
    plan.check()?;
    let chosen = plan.inputs(schema)?;
    let survey = Survey::of(source, schema)?;
    let boundaries = plan.split.boundaries(survey.first_ns, survey.last_ns, survey.window_ns);
    let row_filter =
        |inputs| RowFilter { source, inputs, boundaries, keep_attacks: plan.keep_attacks };

    let inputs = if plan.features.drop_constant && survey.rows > 0 {
        varying(&row_filter(&chosen), schema)?
    } else {
        chosen.clone()
    };
    let row_filter = row_filter(&inputs);
    let may_be_without = least_held_out == 0;
    let mut step = Step { plan, survey, row_filter: &row_filter, may_be_without };
    let mut round = step.fit(&Trim::Nothing)?;
    let untrimmed = round.rows;
    let mut held_out_trim = Trim::Nothing;
    if let Some(contamination) = &plan.contamination {
        for _ in 0..contamination.rounds {
            let trim =
                contamination.find(&row_filter, Part::Train, &round.fitted.scorer, plan.seed)?;
            round = step.fit(&trim)?;
        }
        held_out_trim =
            contamination.find(&row_filter, Part::HeldOut, &round.fitted.scorer, plan.seed)?;
    }
    let Round { fitted, profile, mut digest, mut bounds, rows, dropped } = round;

    let stand_in =
        plan.prior().map(|(prior, params)| StandIn::of(prior, params, &inputs)).transpose()?;
    let profile = match &stand_in {
        None => profile.finish()?,
        Some(stand_in) if rows == 0 => stand_in.profile.clone().of_elsewhere(),
        Some(stand_in) => {
            let mixed = profile.finish()?.with_prior(&stand_in.profile, PRIOR_COUNTS_AS);
            mixed.expect("of the same inputs")
        }
    };
    let constant = profile
        .ranges()
        .iter()
        .zip(inputs.names())
        .filter(|(range, _)| range.min >= range.max)
        .map(|(_, name)| name.clone())
        .collect();
    let mut detector =
        DetectorModel::assemble(schema.clone(), inputs.clone(), fitted.scorer, profile, plan.seed)?;
    let (held_out, held_out_dropped) =
        row_filter.pass(Part::HeldOut, &held_out_trim, &mut |kept| {
            digest.update(kept.whole);
            bounds.take_all(kept.peers, kept.inputs);
            Ok(detector.take(kept.whole)?)
        })?;
    if held_out < least_held_out {
        return Err(TrainingError::NoHeldOutRows {
            got: held_out,
            min: least_held_out,
            read: survey.rows,
            why: held_out_dropped.to_string(),
        });
    }
    if let Some(StandIn { scores, tail_scores, .. }) = stand_in {
        detector.take_prior(scores, tail_scores, PRIOR_COUNTS_AS);
    }
    let trimmed = plan.contamination.map(|contamination| Trimmed {
        asked: contamination.fraction,
        by: contamination.by.name().to_owned(),
        rounds: contamination.rounds,
        training_rows: untrimmed - rows,
        held_out_rows: held_out_dropped.trimmed,
    });
    let time = TimeRange::of(&survey, &boundaries);
    let of_peers = schema.name == schema_id(Kind::Peer).name;
    let facts =
        facts(plan, &inputs, schema, &time, fitted.method.clone(), &dropped, trimmed.as_ref());
    let detector = detector.calibrate(digest, facts)?;
    let report = Report {
        schema: schema.name.clone(),
        method: fitted.method.unwrap_or_else(|| plan.method.name().to_owned()),
        seed: plan.seed,
        left_out: left_out(schema, &chosen, &inputs),
        features: inputs.names().to_vec(),
        constant,
        rows: RowCounts { read: survey.rows, trained: rows, held_out },
        dropped: Dropped { trimmed: dropped.trimmed + held_out_dropped.trimmed, ..dropped },
        trimmed,
        // Whose rows of other kinds are, a person knows.
        bounds: if of_peers { bounds.setters(inputs.names()) } else { Vec::new() },
        time,
        rates: SupportedRates::of(detector.calibration()),
        memory_bytes: memory(plan, inputs.len(), rows, held_out),
    };
    Ok(Trained { detector, report })
}

/// What a prior says by itself: a profile of one half of its rows, and the scores of the other by a
/// detector of the first.
struct StandIn {
    profile: Profile,
    scores: Vec<f32>,
    tail_scores: Vec<f32>,
}

impl StandIn {
    fn of(
        prior: &PriorRows,
        params: &IsolationForestValidParams,
        inputs: &Inputs,
    ) -> Result<Self, TrainingError> {
        let (fit, held_out) = (inputs.project(&prior.fit), inputs.project(&prior.held_out));
        let mut profile = ProfileBuilder::new(inputs, params.seed());
        profile.extend(&fit);
        let profile = profile.finish()?;
        let forest = params.fit_rows(&fit, inputs.len())?;
        let mut scores = vec![0.0; held_out.len() / inputs.len()];
        let mut tail_scores = scores.clone();
        forest.score_rows(&held_out, &mut scores);
        profile.tails().score_rows(&held_out, &mut tail_scores);
        Ok(Self { profile, scores, tail_scores })
    }
}

/// A fit, with the numbers it went by.
struct Round {
    fitted: Fitted,
    profile: ProfileBuilder,
    digest: RowsDigest,
    bounds: Bounds,
    rows: u64,
    dropped: Dropped,
}

struct Step<'a> {
    plan: &'a Plan,
    survey: Survey,
    row_filter: &'a RowFilter<'a>,
    /// A prior's rows may stand for all.
    may_be_without: bool,
}

impl Step<'_> {
    /// Fits to the training part without what is trimmed.
    fn fit(&mut self, trim: &Trim) -> Result<Round, TrainingError> {
        let (plan, inputs) = (self.plan, self.row_filter.inputs);
        let extremes = match plan.method {
            Method::Hbos(_) => Some(extremes(self.row_filter, trim)?),
            _ => None,
        };
        let mut fitting = Fitting::begin(plan, inputs, extremes.as_ref(), self.stop_from_ns())?;
        let mut profile = ProfileBuilder::new(inputs, plan.seed);
        let (mut digest, mut bounds) = (RowsDigest::new(), Bounds::default());
        let (rows, dropped) = self.row_filter.pass(Part::Train, trim, &mut |kept| {
            profile.extend(kept.inputs);
            digest.update(kept.whole);
            bounds.take_all(kept.peers, kept.inputs);
            fitting.extend(kept.inputs, kept.starts_ns)
        })?;
        if rows == 0 && !self.may_be_without {
            let (read, why) = (self.survey.rows, dropped.to_string());
            return Err(TrainingError::NoTrainingRows { read, why });
        }
        if let Some((prior, params)) = plan.prior() {
            let more = (params.max_samples() as u64).saturating_sub(rows);
            fitting.extend(&inputs.project(&prior.some(more)), &[])?;
        }
        let fitted = fitting.finish(inputs, plan.seed)?;
        Ok(Round { fitted, profile, digest, bounds, rows, dropped })
    }

    /// Start of the last part of the training time.
    #[expect(clippy::cast_possible_truncation, reason = "a share of what fits")]
    fn stop_from_ns(&self) -> i64 {
        let (first, last) = (self.survey.first_ns, self.row_filter.boundaries.boundary);
        let length = (i128::from(last) - i128::from(first)) as f64 * (1.0 - STOPPING_SHARE);
        // A nanosecond later, so that a single window is there to learn from.
        first.saturating_add(length as i64).saturating_add(1)
    }
}

fn extremes(row_filter: &RowFilter<'_>, trim: &Trim) -> Result<Extremes, TrainingError> {
    let mut extremes = Extremes::new(row_filter.inputs.len());
    row_filter.pass(Part::Train, trim, &mut |kept| {
        extremes.extend(kept.inputs);
        Ok(())
    })?;
    Ok(extremes)
}

/// The inputs that vary over the training rows.
fn varying(row_filter: &RowFilter<'_>, schema: &SchemaId) -> Result<Inputs, TrainingError> {
    let extremes = extremes(row_filter, &Trim::Nothing)?;
    let names = row_filter.inputs.names();
    let varying: Vec<&String> =
        names.iter().enumerate().filter(|(at, _)| extremes.varies(*at)).map(|(_, n)| n).collect();
    if varying.is_empty() {
        return Err(TrainingError::AllConstant { features: names.len() });
    }
    Ok(Inputs::of(schema, &varying)?)
}

fn left_out(schema: &SchemaId, chosen: &Inputs, inputs: &Inputs) -> Vec<LeftOut> {
    schema
        .features
        .iter()
        .filter(|name| !inputs.names().contains(name))
        .map(|name| {
            let why =
                if chosen.names().contains(name) { "constant in training" } else { "not chosen" };
            LeftOut { feature: name.clone(), why: why.to_owned() }
        })
        .collect()
}

fn facts(
    plan: &Plan,
    inputs: &Inputs,
    schema: &SchemaId,
    time: &TimeRange,
    method: Option<String>,
    dropped: &Dropped,
    trimmed: Option<&Trimmed>,
) -> TrainingFacts {
    let mut selection = vec![format!(
        "the first {} of the time trains, the rest calibrates",
        percent(plan.split.share)
    )];
    if plan.split.gap_windows > 0 {
        let windows = plan.split.gap_windows;
        selection.push(format!("{windows} windows on each side of the boundary left out"));
    }
    if plan.split.warm_up_windows > 0 {
        selection.push(format!("the first {} windows left out", plan.split.warm_up_windows));
    }
    if inputs.len() < schema.features.len() {
        selection.push(format!("{} of {} features", inputs.len(), schema.features.len()));
    }
    selection.extend(plan.notes.iter().cloned());
    selection.extend(trimmed.map(Trimmed::consequence));
    if plan.prior().is_some() {
        selection.push(PRIOR_NOTE.to_owned());
    }
    let attacks_left_out = dropped.attack > 0;
    TrainingFacts {
        selection,
        excluded_labels: attacks_left_out.then(|| "every attack".to_owned()).into_iter().collect(),
        trimmed: plan.contamination.map(|contamination: Contamination| contamination.fraction),
        windows: Some(time.windows),
        window_ns: plan.window_ns,
        from: time.from.clone(),
        to: time.to.clone(),
        method,
        source: match &plan.method {
            Method::Given(given) => given.source.clone(),
            _ => None,
        },
    }
}

/// Bytes of what was kept of the stream: the method's rows, the profile's and the calibration's.
fn memory(plan: &Plan, width: usize, trained: u64, held_out: u64) -> u64 {
    let profile = trained.min(model::PROFILE_ROWS as u64) * width as u64;
    let calibration = held_out.min(model::CALIBRATION_ROWS as u64) * 2;
    Fitting::memory(plan, width, trained) + (profile + calibration) * size_of::<f32>() as u64
}

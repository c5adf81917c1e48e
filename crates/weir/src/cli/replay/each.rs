//! Captures replayed each by itself, several at once, with a state for each.

use std::{
    collections::HashMap,
    num::NonZero,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
};

use anyhow::Context as _;
use report::text::{count, one_line};
use serde_json::json;

use super::{
    ReplayArgs,
    run::Run,
    stage::Stages,
    summary::{State, Summary},
};
use crate::cli::{
    IN_PART, NOTHING, bar::Bar, capture_options, captures::Looked, emit, end_with, line_of,
};
use collector::{config::Config, event::Event};

/// Outcome of one capture.
enum Outcome {
    Replayed(Box<Summary>),
    /// The frames are those of an earlier one.
    Duplicate(PathBuf),
    Bad(anyhow::Error),
    /// One before it was bad, and nothing goes on.
    NotTried,
}

/// Numbers of captures by outcome.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    done: u64,
    in_part: u64,
    nothing: u64,
    duplicates: u64,
    bad: u64,
    not_tried: u64,
}

/// Replays each capture by itself.
pub(super) fn run(
    args: &ReplayArgs,
    config: &Config,
    stages: &Stages<'_>,
    paths: &[PathBuf],
) -> anyhow::Result<ExitCode> {
    anyhow::ensure!(
        config.events.path.is_none(),
        "an events file does not say which capture an event is of: leave out --events or --each; \
         --json names the capture in each line"
    );
    anyhow::ensure!(
        !paths.iter().any(|path| path == Path::new("-")),
        "standard input is one capture: leave out --each"
    );
    let jobs = args.jobs.or_else(|| thread::available_parallelism().ok()).map_or(1, NonZero::get);
    let each = Each { args, config, stages, failed: AtomicBool::new(false) };
    let looked = in_parallel(jobs, paths, |_, path| each.look(path));
    let looked = tell_duplicates(paths, looked);
    let printer = Printer { next: 0, waiting: HashMap::new(), counts: Counts::default() };
    let printer = Mutex::new(printer);
    let first_bad = Mutex::new(None::<(usize, anyhow::Error)>);
    in_parallel(jobs, &looked, |place, looked| {
        let path = &paths[place];
        let outcome = each.replay(path, looked);
        let line = told(path, &outcome, args.json);
        lock(&printer).take(place, &outcome, line);
        if let Outcome::Bad(error) = outcome {
            let mut first = lock(&first_bad);
            if first.as_ref().is_none_or(|(other, _)| place < *other) {
                *first = Some((place, error));
            }
        }
    });
    let counts = lock(&printer).counts;
    emit(&if args.json { counts.to_json() } else { counts.to_text() })?;
    let bad = first_bad.into_inner().unwrap_or_else(PoisonError::into_inner);
    match bad {
        Some((place, error)) if !args.skip_bad || counts.bad == paths.len() as u64 => {
            Err(error.context(format!("`{}`", paths[place].display())))
        }
        _ => Ok(counts.exit()),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Calls for each item, so many at once, and gives the results in the items' order.
fn in_parallel<T: Sync, R: Send>(
    jobs: usize,
    items: &[T],
    work: impl Fn(usize, &T) -> R + Sync,
) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let results = Mutex::new(Vec::with_capacity(items.len()));
    thread::scope(|scope| {
        for _ in 0..jobs.min(items.len()) {
            scope.spawn(|| {
                loop {
                    let place = next.fetch_add(1, Ordering::Relaxed);
                    let Some(item) = items.get(place) else { return };
                    let result = work(place, item);
                    lock(&results).push((place, result));
                }
            });
        }
    });
    let mut results = results.into_inner().unwrap_or_else(PoisonError::into_inner);
    results.sort_unstable_by_key(|(place, _)| *place);
    results.into_iter().map(|(_, result)| result).collect()
}

/// A capture that was looked through: to be replayed, or with what it is instead.
type Prepared = Mutex<Option<Result<Looked, Outcome>>>;

/// Tells captures of equal frames, of which the first is replayed.
fn tell_duplicates(paths: &[PathBuf], looked: Vec<anyhow::Result<Looked>>) -> Vec<Prepared> {
    let mut seen: HashMap<[u8; 32], &PathBuf> = HashMap::new();
    looked
        .into_iter()
        .zip(paths)
        .map(|(looked, path)| {
            let prepared = looked.map_err(Outcome::Bad).and_then(|looked| {
                let survey = looked.surveys().first().and_then(Option::as_ref);
                let digest = survey.filter(|survey| survey.frames > 0).and_then(|one| one.digest);
                match digest.and_then(|digest| seen.insert(digest, path).map(|it| (digest, it))) {
                    None => Ok(looked),
                    Some((digest, first)) => {
                        seen.insert(digest, first);
                        Err(Outcome::Duplicate(first.clone()))
                    }
                }
            });
            Mutex::new(Some(prepared))
        })
        .collect()
}

struct Each<'a> {
    args: &'a ReplayArgs,
    config: &'a Config,
    stages: &'a Stages<'a>,
    failed: AtomicBool,
}

impl Each<'_> {
    fn look(&self, path: &Path) -> anyhow::Result<Looked> {
        let mut looked = self.args.look(vec![path.to_owned()], self.stages)?;
        looked.forget_home_side();
        Ok(looked)
    }

    fn replay(&self, path: &Path, prepared: &Prepared) -> Outcome {
        if self.failed.load(Ordering::Relaxed) && !self.args.skip_bad {
            return Outcome::NotTried;
        }
        let outcome = match lock(prepared).take() {
            Some(Ok(looked)) => match self.replay_looked(path, &looked) {
                Ok(summary) => Outcome::Replayed(Box::new(summary)),
                Err(error) => Outcome::Bad(error),
            },
            Some(Err(outcome)) => outcome,
            None => Outcome::NotTried,
        };
        if matches!(outcome, Outcome::Bad(_)) {
            self.failed.store(true, Ordering::Relaxed);
        }
        outcome
    }

    fn replay_looked(&self, path: &Path, looked: &Looked) -> anyhow::Result<Summary> {
        let json = self.args.json;
        let source = path.display().to_string();
        let tell = |event: &Event| {
            if json {
                let mut event = serde_json::to_value(event).context("an event as JSON")?;
                event["source"] = json!(source);
                println!("{event}");
            } else if let Some(line) = line_of(event, false) {
                println!("{source}: {line}");
            }
            Ok(())
        };
        let run = Run {
            writer: self.args.tables(looked, self.config)?,
            bar: Bar::none(),
            stage: self.stages.begin(),
            tell: &tell,
        };
        let (summary, outcome) = run.all(looked.open(capture_options(self.config))?);
        outcome?;
        Ok(summary)
    }
}

/// Prints what became of the captures, in their order.
struct Printer {
    next: usize,
    waiting: HashMap<usize, String>,
    counts: Counts,
}

impl Printer {
    fn take(&mut self, place: usize, outcome: &Outcome, line: String) {
        let counts = &mut self.counts;
        *match outcome {
            Outcome::Replayed(summary) => match summary.state() {
                State::Done => &mut counts.done,
                State::InPart => &mut counts.in_part,
                State::Nothing => &mut counts.nothing,
            },
            Outcome::Duplicate(_) => &mut counts.duplicates,
            Outcome::Bad(_) => &mut counts.bad,
            Outcome::NotTried => &mut counts.not_tried,
        } += 1;
        self.waiting.insert(place, line);
        while let Some(line) = self.waiting.remove(&self.next) {
            print!("{line}");
            self.next += 1;
        }
    }
}

/// A line on a capture: its state, what was in it, and why it is not done.
fn told(path: &Path, outcome: &Outcome, json: bool) -> String {
    let name = path.display();
    if json {
        return match outcome {
            Outcome::Replayed(summary) => summary.to_json(),
            Outcome::Duplicate(of) => {
                let of = of.display().to_string();
                format!(
                    "{}\n",
                    json!({ "event": "replay", "source": name.to_string(), "state": "duplicate", "of": of })
                )
            }
            Outcome::Bad(error) => {
                let error = one_line(error.chain());
                format!(
                    "{}\n",
                    json!({ "event": "replay", "source": name.to_string(), "state": "bad", "error": error })
                )
            }
            Outcome::NotTried => {
                format!(
                    "{}\n",
                    json!({ "event": "replay", "source": name.to_string(), "state": "not tried" })
                )
            }
        };
    }
    match outcome {
        Outcome::Replayed(summary) => {
            let lost = match summary.state() {
                State::InPart => format!(": {}", summary.lost_records()),
                State::Done | State::Nothing => String::new(),
            };
            let frames = count(summary.frames());
            format!("{:<10}{frames:>12} frames  {name}{lost}\n", summary.state().name())
        }
        Outcome::Duplicate(of) => format!(
            "{:<10}{:>19}  {name}: its frames are those of {}\n",
            "duplicate",
            "",
            of.display()
        ),
        Outcome::Bad(error) => {
            format!("{:<10}{:>19}  {name}: {}\n", "bad", "", one_line(error.chain()))
        }
        Outcome::NotTried => format!("{:<10}{:>19}  {name}\n", "not tried", ""),
    }
}

impl Counts {
    fn parts(self) -> [(&'static str, u64); 6] {
        [
            ("done", self.done),
            ("in_part", self.in_part),
            ("nothing", self.nothing),
            ("duplicates", self.duplicates),
            ("bad", self.bad),
            ("not_tried", self.not_tried),
        ]
    }

    fn to_json(self) -> String {
        let mut object = json!({ "event": "replay_each" });
        for (name, captures) in self.parts() {
            object[name] = json!(captures);
        }
        format!("{object}\n")
    }

    fn to_text(self) -> String {
        let some = self.parts().into_iter().filter(|(_, captures)| *captures > 0);
        let parts: Vec<String> = some
            .map(|(name, captures)| format!("{} {}", count(captures), name.replace('_', " ")))
            .collect();
        format!("captures: {}\n", parts.join(", "))
    }

    fn exit(self) -> ExitCode {
        let replayed = self.done + self.in_part;
        if replayed == 0 {
            return end_with(NOTHING, "there is no frame in any of the captures");
        }
        if self.in_part + self.nothing + self.bad == 0 {
            return ExitCode::SUCCESS;
        }
        let why = format!(
            "{} captures cut or with records that cannot be read, {} without a frame, {} bad",
            self.in_part, self.nothing, self.bad
        );
        end_with(IN_PART, &why)
    }
}

//! `weir import`: every address and prefix of a list on the pinned blocklist, whether or not a
//! weir runs on it.
//!
//! ```text
//! file ─► Unpacked ─► address_list::Reader ─► check ─► Table ─► verify ─► Tally
//!                     bad lines ─► Complaints ◄─ refusals
//! ```
//!
//! A line is in force before the next is read, so that memory does not grow with the list, and a
//! load that stops half-way says exactly how far it came. To load a list once more changes nothing
//! but its leases: what is no longer on a list that is loaded regularly runs out by itself.

mod bar;
mod complaints;
mod network;
mod spared;
mod table;
mod tally;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    time::{Duration, Instant},
};

use address_list::{Asks, Column, Entry, Format, Options, Reader, check_width};
use anyhow::Context as _;
use clap::{Args, ValueEnum};
use flows_common::Action;

use bar::Bar;
use complaints::Complaints;
use spared::Spared;
use table::Table;
use tally::{Refusal, Tally};

use super::{
    FAILED, Layers,
    blocks::{ActionArgs, check_lease, is_unguarded},
    emit,
};
use collector::{
    act::{BY_IMPORT, source_rate},
    clock::{boot_ns, nanos},
    config::Config,
};
use datapath::{Block, BlockAction, Target};
use replay::unpacked::Unpacked;

#[derive(Debug, Args)]
pub(super) struct ImportArgs {
    /// Lists of addresses and prefixes, also compressed by gzip or zstd; `-` is standard input.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// How long the blocks last, unless a line says; `policy.max_ttl` without it.
    #[arg(long = "for", value_name = "DURATION")]
    length: Option<humantime::Duration>,
    #[command(flatten)]
    action: ActionArgs,
    /// How the lists are written; told by their first line without it.
    #[arg(long, value_enum)]
    format: Option<FormatChoice>,
    /// The column of a CSV file that has the addresses, by name or number; found by the header
    /// (ip, address, cidr, prefix, network, source.ip, value, ...) without it.
    #[arg(long, value_name = "NAME|N")]
    column: Option<Column>,
    /// Say what would come of it; block nothing.
    #[arg(long)]
    dry_run: bool,
    /// Bad lines that are no failure; beyond them the load stops. Without it every line is tried,
    /// and one bad line is a failure.
    #[arg(long, value_name = "N")]
    max_errors: Option<u64>,
    /// A file that gets every bad and refused line with its reason.
    #[arg(long, value_name = "FILE")]
    errors: Option<PathBuf>,
    /// Print the summary as JSON.
    #[arg(long)]
    json: bool,
}

/// How a list is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum FormatChoice {
    /// One address or prefix a line, remarks after `#` or `;`.
    Text,
    /// Records of one line, with or without a header.
    Csv,
}

impl ImportArgs {
    pub(super) fn run(&self, layers: &Layers) -> anyhow::Result<ExitCode> {
        let config = layers.raw()?.check()?;
        let lease = self.length.map_or(config.policy.max_ttl, Into::into);
        check_lease(lease)?;
        self.action.check()?;
        let table = Table::open(&config, self.dry_run, boot_ns())?;
        let spared = Spared::here(&config, &table.allowed()?)?;
        let defaults = Defaults {
            lease,
            action: self.action.action(),
            packets_per_second: self.action.pps().unwrap_or(config.policy.expert.rate_limit_pps),
        };
        let complaints = Complaints::start(self.errors.as_deref())?;
        let mut import = Import { defaults, spared, table, complaints, tally: Tally::default() };
        import.tally.dry_run = self.dry_run;
        let began = Instant::now();
        let loaded = self.files.iter().try_for_each(|file| self.load(&mut import, file));
        import.tally.load_seconds = began.elapsed().as_secs_f64();
        let complaints = import.complaints.finish(self.errors.as_deref());
        let verified = import.verify();
        import.tally.stopped =
            loaded.as_ref().err().map(|error| report::text::one_line(error.chain()));
        self.tell(&config, &import.tally, lease)?;
        loaded.and(verified).and(complaints)?;
        let tolerated = import.tally.bad <= self.max_errors.unwrap_or(0);
        Ok(if tolerated { ExitCode::SUCCESS } else { ExitCode::from(FAILED) })
    }

    /// Loads one file; its bad lines are no error until there are too many.
    fn load(&self, import: &mut Import, path: &Path) -> anyhow::Result<()> {
        let name = if path == Path::new("-") {
            "standard input".to_owned()
        } else {
            path.display().to_string()
        };
        let mut file = Unpacked::open(path).with_context(|| format!("cannot open `{name}`"))?;
        let mut bar = Bar::start(file.progress());
        let mut reader = Reader::new(file.bytes(), self.options());
        let read = loop {
            match reader.next_line() {
                Err(error) => break Err(error.into()),
                Ok(None) => break Ok(()),
                Ok(Some(line)) => {
                    bar.advance(import.tally.lines);
                    let place = Place { file: &name, line: line.number };
                    if let Err(error) = import.take(line.entry, &place, &bar) {
                        break Err(error);
                    }
                    if self.max_errors.is_some_and(|most| import.tally.bad > most) {
                        let why = format!("line {} is one bad line too many", line.number);
                        break Err(anyhow::anyhow!("{why} (--max-errors)"));
                    }
                }
            }
        };
        let last = reader.number();
        bar.finish();
        read.with_context(|| format!("`{name}`"))?;
        match file.fault() {
            Some(fault) => Err(anyhow::anyhow!("`{name}` ends after line {last}: {fault}")),
            None => Ok(()),
        }
    }

    fn options(&self) -> Options {
        let format = match self.format {
            None => Format::Detect,
            Some(FormatChoice::Text) => Format::Text,
            Some(FormatChoice::Csv) => Format::Csv,
        };
        Options { format, column: self.column.clone() }
    }

    fn tell(&self, config: &Config, tally: &Tally, lease: Duration) -> anyhow::Result<()> {
        if self.json {
            return emit(&format!("{}\n", serde_json::to_string(tally)?));
        }
        let mut text = tally.text(lease);
        if !self.dry_run && tally.standing() > 0 && is_unguarded(config)? {
            text.push_str(
                "but no interface is guarded now; `weir run --mode enforce` takes the blocks over\n",
            );
        }
        emit(&text)
    }
}

/// What a block is where its line does not say.
#[derive(Debug)]
struct Defaults {
    lease: Duration,
    action: Action,
    packets_per_second: u32,
}

/// A line of a file.
struct Place<'a> {
    file: &'a str,
    line: u64,
}

/// A load under way.
struct Import {
    defaults: Defaults,
    spared: Spared,
    table: Table,
    complaints: Complaints,
    tally: Tally,
}

impl Import {
    /// Blocks what a line says, or complains of it.
    fn take(
        &mut self,
        entry: Result<Entry, address_list::LineError>,
        place: &Place<'_>,
        bar: &Bar,
    ) -> anyhow::Result<()> {
        self.tally.lines += 1;
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) => {
                self.tally.bad += 1;
                return self.complaints.tell(place, &error, bar);
            }
        };
        if let Some((refusal, why)) = self.refusal(&entry) {
            self.tally.refused.add(refusal);
            return self.complaints.tell(place, &why, bar);
        }
        let target = Target::from(entry.net);
        let block = self.defaults.block(&entry.asks, self.table.now_ns());
        let outcome = self
            .table
            .put(&target, &block)
            .with_context(|| format!("line {}: `{target}` is not blocked", place.line))?;
        self.tally.count(&target, outcome);
        self.tally.partly_allowed += u64::from(self.spared.allows_part_of(entry.net));
        Ok(())
    }

    /// Why a target must not be blocked, whoever asks.
    fn refusal(&self, entry: &Entry) -> Option<(Refusal, String)> {
        match check_width(entry.net) {
            Err(error) => Some((Refusal::TooWide, error.to_string())),
            Ok(()) => self.spared.refusal(entry.net),
        }
    }

    /// Reads back what was loaded.
    fn verify(&mut self) -> anyhow::Result<()> {
        let began = Instant::now();
        let verified = self.table.verify(&mut self.tally);
        self.tally.read_back_seconds = began.elapsed().as_secs_f64();
        verified
    }
}

impl Defaults {
    fn block(&self, asks: &Asks, now_ns: u64) -> Block {
        let lease = asks.lease.unwrap_or(self.lease);
        let rate = asks.packets_per_second.unwrap_or(self.packets_per_second);
        Block {
            action: BlockAction::of(asks.action.unwrap_or(self.action), source_rate(rate)),
            expires_ns: now_ns.saturating_add(nanos(lease)),
            reason: BY_IMPORT,
        }
    }
}

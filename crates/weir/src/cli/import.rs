//! `weir import`: every address and prefix of a list on the running node's blocklist.
//!
//! ```text
//! file ─► Unpacked ─► address_list::Reader ─► Batch ─► Door (the node, or a dry run) ─► LoadCounts
//!                     bad lines ─► Complaints ◄─ refusals
//! ```
//!
//! A batch is in force before the next is sent, so that memory does not grow with the list, and a
//! load that stops half-way says exactly how far it came. To load a list once more changes nothing
//! but its leases: what is no longer on a list that is loaded regularly runs out by itself.

mod batch;
mod complaints;
mod door;
mod load_counts;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    time::{Duration, Instant},
};

use address_list::{Column, Format, Options, Reader};
use anyhow::Context as _;
use clap::{Args, ValueEnum};
use indicatif::HumanCount;

use batch::{Batch, Lines};
use complaints::Complaints;
use door::Door;
use load_counts::LoadCounts;

use super::{
    FAILED, Layers,
    bar::Bar,
    blocks::{ActionArgs, check_lease},
    emit,
    node::{NodeArgs, seconds},
};
use replay::unpacked::Unpacked;

/// Lines between two looks at the clock.
const LOOK_EVERY: u64 = 1_024;

#[derive(Debug, Args)]
pub(super) struct ImportArgs {
    /// Lists of addresses and prefixes, also compressed by gzip or zstd; `-` is standard input.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Length of the blocks, unless a line says; `policy.max_ttl` without it.
    #[arg(long = "for", value_name = "DURATION")]
    length: Option<humantime::Duration>,
    #[command(flatten)]
    action: ActionArgs,
    /// The list that the entries are of; `weir blocks --list NAME` and `weir unblock --list NAME`
    /// mean all of it.
    #[arg(long, value_name = "NAME")]
    list: Option<String>,
    /// Format of the lists; detected by their first line without it.
    #[arg(long, value_enum)]
    format: Option<FormatChoice>,
    /// The column of a CSV file that has the addresses, by name or number; found by the header
    /// (ip, address, cidr, prefix, network, source.ip, value, ...) without it.
    #[arg(long, value_name = "NAME|N")]
    column: Option<Column>,
    /// Say what would come of it; block nothing. It needs no running weir.
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
    #[command(flatten)]
    node: NodeArgs,
}

/// Format of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum FormatChoice {
    /// Addresses and prefixes, one a line, remarks after `#` or `;`.
    Text,
    /// Records of one line, with or without a header.
    Csv,
}

impl ImportArgs {
    pub(super) fn run(&self, layers: &Layers) -> anyhow::Result<ExitCode> {
        let lease = self.length.map(Into::into);
        lease.map_or(Ok(()), check_lease)?;
        self.action.check()?;
        let for_s = lease.map(seconds);
        let door = if self.dry_run {
            Door::dry_run(&layers.raw()?.check()?, &self.node.client(layers)?, &self.action, for_s)?
        } else {
            Door::node(self.node.client(layers)?, &self.action, for_s, self.list.clone())?
        };
        let complaints = Complaints::start(self.errors.as_deref())?;
        let lease = door.lease();
        let mut import =
            Import { door, sent: None, complaints, load_counts: LoadCounts::default() };
        import.load_counts.dry_run = self.dry_run;
        let began = Instant::now();
        let loaded = self.files.iter().try_for_each(|file| self.load(&mut import, file));
        import.load_counts.load_seconds = began.elapsed().as_secs_f64();
        let complaints = import.complaints.finish(self.errors.as_deref());
        let Import { door, mut load_counts, .. } = import;
        let began = Instant::now();
        let verified = door.end().map(|read_back| load_counts.take_read_back(read_back));
        load_counts.read_back_seconds = began.elapsed().as_secs_f64();
        load_counts.stopped =
            loaded.as_ref().err().map(|error| report::text::one_line(error.chain()));
        self.report(&load_counts, lease)?;
        loaded.and(verified).and(complaints)?;
        let tolerated = load_counts.bad <= self.max_errors.unwrap_or(0);
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
        let mut bar = Bar::start(vec![file.progress()]);
        let mut reader = Reader::new(file.bytes(), self.options());
        let mut batch = Batch::default();
        let mut bad = import.load_counts.bad;
        let read = loop {
            match reader.next_line() {
                Err(error) => break Err(error.into()),
                Ok(None) => break Ok(()),
                Ok(Some(line)) => {
                    let number = line.number;
                    bad += u64::from(line.entry.is_err());
                    batch.push(line);
                    let lines = import.load_counts.lines + batch.lines.len() as u64;
                    if lines.is_multiple_of(LOOK_EVERY) {
                        bar.advance(|_| format!("{} lines", HumanCount(lines)));
                    }
                    if self.max_errors.is_some_and(|most| bad > most) {
                        let why = format!("line {number} is one bad line too many");
                        break Err(anyhow::anyhow!("{why} (--max-errors)"));
                    }
                    if batch.is_full()
                        && let Err(error) = import.send(std::mem::take(&mut batch), &name, &bar)
                    {
                        break Err(error);
                    }
                }
            }
        };
        // What was read before a fault is loaded; nothing is behind an entry that found no room.
        let rest = import.send(batch, &name, &bar).and_then(|()| import.settle(&name, &bar));
        let last = reader.number();
        bar.finish();
        rest.and(read).with_context(|| format!("`{name}`"))?;
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

    fn report(&self, load_counts: &LoadCounts, lease: Duration) -> anyhow::Result<()> {
        if self.json {
            return emit(&format!("{}\n", serde_json::to_string(load_counts)?));
        }
        emit(&load_counts.text(lease))
    }
}

/// A load under way.
struct Import {
    door: Door,
    /// The lines of the batch that was sent and is not answered yet.
    sent: Option<Lines>,
    complaints: Complaints,
    load_counts: LoadCounts,
}

impl Import {
    /// Sends a batch once the one before it is answered: it is taken while the next is read.
    fn send(&mut self, batch: Batch, file: &str, bar: &Bar) -> anyhow::Result<()> {
        self.settle(file, bar)?;
        if !batch.lines.is_empty() {
            self.door.send(batch.entries);
            self.sent = Some(batch.lines);
        }
        Ok(())
    }

    /// Counts what became of the batch that was sent, and complains of its lines that make no
    /// block, in their order.
    fn settle(&mut self, file: &str, bar: &Bar) -> anyhow::Result<()> {
        let Some(lines) = self.sent.take() else { return Ok(()) };
        let imported = self.door.answer()?;
        self.load_counts.add(&imported);
        let mut refused = imported.refused.iter().peekable();
        for (line, entry) in lines {
            self.load_counts.lines += 1;
            let entry = match entry {
                Ok(entry) => entry,
                Err(error) => {
                    self.load_counts.bad += 1;
                    self.complaints.report(file, line, &error, bar)?;
                    continue;
                }
            };
            if let Some(stopped) = imported.stopped.as_ref().filter(|one| one.entry == entry) {
                anyhow::bail!("line {line}: {}", stopped.text);
            }
            if let Some(one) = refused.next_if(|one| one.entry == entry) {
                self.load_counts.refused.add(&one.code);
                self.complaints.report(file, line, &one.text, bar)?;
            }
        }
        Ok(())
    }
}

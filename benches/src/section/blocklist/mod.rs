//! Lists of 0 to a million entries in weir's blocklist, a set of nftables and rules of iptables,
//! on the same veth pair.

mod contestant;
mod list;

use std::{io::Write as _, path::Path};

use anyhow::{Context as _, ensure};
use ipnet::IpNet;

use super::Effort;
use crate::{
    bpf::{Hook, Nothing, missing_privileges},
    cpu,
    measurement::{Measurement, Reach, Unit},
    statistics::{Spread, Turns},
    wire::{Ends, NEAR, Wire},
};
use contestant::{Contestant, Iptables, Nftables, Weir, is_installed};

/// Sizes of lists of addresses.
const SIZES: [u32; 5] = [0, 1_000, 10_000, 100_000, 1_000_000];
/// Sizes of lists of prefixes; weir's table of them ends at 16,384.
const PREFIX_SIZES: [u32; 2] = [1_000, 10_000];
/// The least list whose memory stands out from what others do.
const MEMORY_FROM: u32 = 100_000;
/// Frames of one sample, unless they take longer than [`SAMPLE_SECONDS`].
const FRAMES: usize = 20_000;
const SAMPLE_SECONDS: f64 = 0.05;
/// Entries added one by one.
const ADDED: u8 = 5;

const FLAT: &str = "weir: pass with 1,000,000 entries, over pass with 0";
const SENT: &str = "UDP of 60 bytes from 200 sources through a veth pair into a socket, on one \
                    CPU: the sender's work is in it; packets per second of that CPU's time";
const ADDING: &str = "weir: a handle on the pinned tables (what stands is read) and one entry, \
                      where a running node has its handle; the others: their command, its start included";
const LOADING: &str = "weir: a text list, parsed, written one by one and read back; nftables: nft \
                       -f, 4,096 elements a command; iptables: its -restore";
const MEMORY: &str = "weir: memlock of the maps; the others: what unreclaimable slabs, vmalloc \
                      and per-CPU memory grew by, whoever caused it";
const PREFIXES: &str = "/28s, and the senders' /24 among them; nftables: flags interval";

pub(super) fn measure(effort: Effort) -> anyhow::Result<Vec<Measurement>> {
    if let Some(why) = missing_privileges() {
        return Ok(vec![Measurement::skipped(FLAT, why).reach(Reach::AtMost(1.1))]);
    }
    let wire = Wire::new()?;
    cpu::on_one(|| {
        wire.enter()?;
        let ends = wire.ends()?;
        let mut rows = Vec::new();
        let (sizes, prefixes) =
            effort.of((&SIZES[..], &PREFIX_SIZES[..]), (&SIZES[..3], &PREFIX_SIZES[..1]));
        let bench = Bench { ends, effort };
        bench.wire(&mut rows)?;
        bench.addresses(sizes, &mut rows)?;
        bench.prefixes(prefixes, &mut rows)?;
        bench.flat(sizes[sizes.len() - 1], &mut rows)?;
        Ok(rows)
    })
}

struct Bench {
    ends: Ends,
    effort: Effort,
}

/// Adds of a running weir, which knows what stands.
const RUNNING: &str = "weir: one more, as a running weir adds it";
const WIRE: &str = "native XDP on a veth makes a frame of its own of each packet that a socket \
                    sent, which a network card's driver does not";

/// Measurements of one contestant, by round.
#[derive(Default)]
struct Samples {
    pass: Vec<f64>,
    drop: Vec<f64>,
}

impl Bench {
    /// The wire itself: without a hook, and with an XDP program that does nothing.
    fn wire(&self, rows: &mut Vec<Measurement>) -> anyhow::Result<()> {
        let [strangers, _] = list::frames();
        let nothing = Nothing::load(Hook::Xdp)?;
        let index = nix::net::if_::if_nametoindex(NEAR)?;
        let mut weir = Weir::new()?;
        let mut bare = || self.seconds_per_packet(&strangers);
        let mut empty_program = || {
            let _link = nothing.attach(index)?;
            self.seconds_per_packet(&strangers)
        };
        let mut guard = || {
            weir.hook()?;
            let seconds = self.seconds_per_packet(&strangers);
            weir.unhook()?;
            seconds
        };
        let rounds = self.effort.of(15, 3);
        let turns = Turns::take(rounds, &mut [&mut bare, &mut empty_program, &mut guard])?;
        let rate = |seconds: f64| 1.0 / seconds;
        for (what, contestant) in [("no hook at all", 0), ("an XDP program that does nothing", 1)] {
            let spread = turns.map(contestant, rate);
            rows.push(Measurement::of(what, Unit::PacketsPerSecond, spread).note(SENT));
        }
        for (what, one, other) in [
            ("time of that program, over no hook's", 1, 0),
            ("time of weir with 0 entries, over that program's", 2, 1),
        ] {
            rows.push(Measurement::of(what, Unit::Ratio, turns.ratio(one, other)).note(WIRE));
        }
        Ok(())
    }

    fn addresses(&self, sizes: &[u32], rows: &mut Vec<Measurement>) -> anyhow::Result<()> {
        let mut others = others(rows);
        for &size in sizes {
            let list = list::addresses(size);
            // The maps that stand, a million entries large, are made anew each time: what was on
            // them before is not in the measure.
            let mut weir = Weir::new()?;
            let mut all: Vec<&mut dyn Contestant> = vec![&mut weir];
            all.extend(others.iter_mut().map(|other| other.as_mut() as &mut dyn Contestant));
            let given_up = self.compare(&number(size), &list, all, "", rows)?;
            others.retain(|other| !given_up.contains(&other.name().to_owned()));
        }
        Ok(())
    }

    fn prefixes(&self, sizes: &[u32], rows: &mut Vec<Measurement>) -> anyhow::Result<()> {
        let mut nftables = Nftables::new(true);
        for &size in sizes {
            let list = list::prefixes(size);
            let mut weir = Weir::new()?;
            let mut all: Vec<&mut dyn Contestant> = vec![&mut weir];
            if is_installed("nft") {
                all.push(&mut nftables);
            }
            self.compare(&format!("{} prefixes", number(size)), &list, all, PREFIXES, rows)?;
        }
        Ok(())
    }

    /// Loads one list into all, lets them take turns, and adds a few entries. Returns the names of
    /// those that could not load it.
    fn compare(
        &self,
        what: &str,
        list: &[IpNet],
        all: Vec<&mut dyn Contestant>,
        note: &str,
        rows: &mut Vec<Measurement>,
    ) -> anyhow::Result<Vec<String>> {
        let mut file = tempfile::NamedTempFile::new()?;
        file.write_all(list::text(list).as_bytes())?;
        let mut given_up = Vec::new();
        let mut loaded = Vec::new();
        for contestant in all {
            let name = contestant.name().to_owned();
            match load(contestant, list, file.path(), what) {
                Ok(measured) => {
                    rows.extend(measured);
                    loaded.push(contestant);
                }
                Err(error) => {
                    let why = format!("{error:#}; larger lists are not tried");
                    rows.push(Measurement::skipped(format!("{what}, {name}"), why));
                    given_up.push(name);
                }
            }
        }
        let samples = self.take_turns(&mut loaded, !list.is_empty())?;
        Self::report(what, note, &loaded, &samples, rows);
        for contestant in &mut loaded {
            let seconds: Vec<f64> = (0..ADDED)
                .map(|number| contestant.add(list::one_more(number)))
                .collect::<anyhow::Result<_>>()?;
            let spread = Spread::of(&seconds).context("none was added")?;
            let row = format!("{what}: one more, {}", contestant.name());
            rows.push(Measurement::of(row, Unit::Seconds, spread).note(ADDING));
        }
        Ok(given_up)
    }

    /// Seconds per packet, contestant by contestant, in rounds.
    fn take_turns(
        &self,
        all: &mut [&mut dyn Contestant],
        lists: bool,
    ) -> anyhow::Result<Vec<Samples>> {
        let [strangers, listed] = list::frames();
        let mut samples: Vec<Samples> = all.iter().map(|_| Samples::default()).collect();
        // The first round warms up and is not kept.
        for round in 0..=self.effort.of(9, 3) {
            for (contestant, samples) in all.iter_mut().zip(&mut samples) {
                contestant.hook()?;
                let measured = self.sample(&strangers, &listed, lists);
                contestant.unhook()?;
                let (pass, drop) = measured.with_context(|| contestant.name().to_owned())?;
                if round > 0 {
                    samples.pass.push(pass);
                    samples.drop.extend(drop);
                }
            }
        }
        Ok(samples)
    }

    /// Time of the hook for a packet that passes, and for one that is dropped.
    fn sample(
        &self,
        strangers: &[Vec<u8>],
        listed: &[Vec<u8>],
        lists: bool,
    ) -> anyhow::Result<(f64, Option<f64>)> {
        const FEW: usize = 20;
        let through = self.ends.delivered(strangers, FEW)?;
        ensure!(through == FEW, "{through} of {FEW} packets of strangers came through");
        let pass = self.seconds_per_packet(strangers)?;
        if !lists {
            return Ok((pass, None));
        }
        let through = self.ends.delivered(listed, FEW)?;
        ensure!(through == 0, "{through} packets of listed sources came through");
        Ok((pass, Some(self.seconds_per_packet(listed)?)))
    }

    fn seconds_per_packet(&self, frames: &[Vec<u8>]) -> anyhow::Result<f64> {
        const TRIED: usize = 20;
        let tried = self.ends.send(frames, TRIED)? / TRIED as f64;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a count of frames, held to its bounds"
        )]
        let count = ((SAMPLE_SECONDS / tried) as usize).clamp(TRIED, FRAMES);
        Ok(self.ends.send(frames, count)? / count as f64)
    }

    fn report(
        what: &str,
        note: &str,
        all: &[&mut dyn Contestant],
        samples: &[Samples],
        rows: &mut Vec<Measurement>,
    ) {
        type Of = fn(&Samples) -> &Vec<f64>;
        let note = if note.is_empty() { SENT.to_owned() } else { format!("{SENT}; {note}") };
        let each: [(&str, Of); 2] =
            [("pass", |samples| &samples.pass), ("drop", |samples| &samples.drop)];
        for (deed, of) in each {
            for (contestant, one) in all.iter().zip(samples) {
                let rates: Vec<f64> = of(one).iter().map(|seconds| 1.0 / seconds).collect();
                if let Some(spread) = Spread::of(&rates) {
                    let row = format!("{what}: {deed}, {}", contestant.name());
                    rows.push(
                        Measurement::of(row, Unit::PacketsPerSecond, spread).note(note.clone()),
                    );
                }
            }
            for (contestant, one) in all.iter().zip(samples).skip(1) {
                let pairs = of(one).iter().zip(of(&samples[0]));
                let ratios: Vec<f64> = pairs.map(|(other, weir)| other / weir).collect();
                if let Some(spread) = Spread::of(&ratios) {
                    let row = format!("{what}: {deed}, weir's rate over {}'s", contestant.name());
                    rows.push(Measurement::of(row, Unit::Ratio, spread));
                }
            }
        }
    }

    /// Two of weir's guards in turn, one empty and one full.
    fn flat(&self, size: u32, rows: &mut Vec<Measurement>) -> anyhow::Result<()> {
        let list = list::addresses(size);
        let mut file = tempfile::NamedTempFile::new()?;
        file.write_all(list::text(&list).as_bytes())?;
        let [mut empty, mut full] = [Weir::new()?, Weir::new()?];
        full.load(&list, file.path())?;
        let [strangers, _] = list::frames();
        let turn = |weir: &mut Weir| {
            weir.hook()?;
            let seconds = self.seconds_per_packet(&strangers);
            weir.unhook()?;
            seconds
        };
        let (mut one, mut other) = (|| turn(&mut empty), || turn(&mut full));
        let turns = Turns::take(self.effort.of(25, 3), &mut [&mut one, &mut other])?;
        let row = if size == SIZES[SIZES.len() - 1] {
            FLAT.to_owned()
        } else {
            format!("weir: pass with {} entries, over pass with 0", number(size))
        };
        rows.push(Measurement::of(row, Unit::Ratio, turns.ratio(1, 0)).reach(Reach::AtMost(1.1)));
        let seconds: Vec<f64> = (0..ADDED)
            .map(|number| full.add_running(list::one_more(number)))
            .collect::<anyhow::Result<_>>()?;
        let spread = Spread::of(&seconds).context("none was added")?;
        rows.push(Measurement::of(RUNNING, Unit::Seconds, spread).note("read back"));
        Ok(())
    }
}

/// The contestants beside weir that are installed; a row says which are not.
fn others(rows: &mut Vec<Measurement>) -> Vec<Box<dyn Contestant>> {
    let mut others: Vec<Box<dyn Contestant>> = Vec::new();
    if is_installed("nft") {
        others.push(Box::new(Nftables::new(false)));
    } else {
        rows.push(Measurement::skipped("nftables", "`nft` is not installed (Debian: nftables)"));
    }
    match Iptables::find() {
        Some(iptables) => others.push(Box::new(iptables)),
        None => rows.push(Measurement::skipped("iptables", "it is not installed")),
    }
    others
}

fn load(
    contestant: &mut dyn Contestant,
    list: &[IpNet],
    file: &Path,
    what: &str,
) -> anyhow::Result<Vec<Measurement>> {
    let seconds = contestant.load(list, file)?;
    let row = format!("{what}: to load, {}", contestant.name());
    let mut rows = vec![Measurement::of(row, Unit::Seconds, Spread::once(seconds)).note(LOADING)];
    if list.len() >= MEMORY_FROM as usize {
        let row = format!("{what}: memory, {}", contestant.name());
        let bytes = contestant.bytes()? as f64;
        rows.push(Measurement::of(row, Unit::Bytes, Spread::once(bytes)).note(MEMORY));
    }
    Ok(rows)
}

/// A number with its thousands parted.
fn number(number: u32) -> String {
    let digits = number.to_string();
    let mut parted = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            parted.push(',');
        }
        parted.push(digit);
    }
    parted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_parted() {
        assert_eq!(
            [0, 1_000, 16_384, 1_000_000].map(number),
            ["0", "1,000", "16,384", "1,000,000"]
        );
    }
}

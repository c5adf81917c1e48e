//! Captures as typed: which files they are, whether they are of one time, and which side of them is
//! local.

use std::path::{Path, PathBuf};

use ::replay::{Captures, HomeNet, HomeSide, Replay, ReplayOptions, Survey};
use anyhow::Context as _;
use ipnet::IpNet;

/// Ends of names by which captures are found in a folder, also compressed.
const CAPTURES: [&str; 4] = ["pcap", "pcapng", "cap", "dmp"];
const COMPRESSED: [&str; 3] = ["gz", "zst", "zstd"];

/// Folders within folders that are looked into.
const DEPTH: u32 = 16;

/// Time without any capture that makes two of them unrelated, in ns.
const APART_NS: u64 = 86_400_000_000_000;

/// The captures that paths stand for: a folder for all below it, a name with `*` or `?` that is no
/// file for all that match it in their folder, anything else for itself.
pub(super) fn expand(paths: &[PathBuf]) -> anyhow::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for path in paths {
        let before = found.len();
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
        let pattern = name.filter(|name| name.contains(['*', '?']) && !path.exists());
        if path.is_dir() {
            below(path, DEPTH, &mut found)?;
            found[before..].sort();
            anyhow::ensure!(
                found.len() > before,
                "no capture below `{}`: one is found there by its name, which ends in .pcap, \
                 .pcapng, .cap or .dmp, also with .gz or .zst behind it",
                path.display()
            );
        } else if let Some(pattern) = pattern {
            let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
            for entry in entries(folder.unwrap_or(Path::new(".")))? {
                let name = entry.file_name().unwrap_or_default().to_string_lossy().into_owned();
                if entry.is_file() && matches(pattern.as_bytes(), name.as_bytes()) {
                    found.push(folder.map_or_else(|| name.clone().into(), |it| it.join(&name)));
                }
            }
            found[before..].sort();
            anyhow::ensure!(found.len() > before, "no file matches `{}`", path.display());
        } else {
            found.push(path.clone());
        }
    }
    Ok(found)
}

fn entries(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let failed = || format!("cannot list `{}`", folder.display());
    let entries = std::fs::read_dir(folder).with_context(failed)?;
    entries.map(|entry| Ok(entry.with_context(failed)?.path())).collect()
}

fn below(folder: &Path, depth: u32, found: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    for path in entries(folder)? {
        if path.is_dir() && !path.is_symlink() {
            if depth > 0 {
                below(&path, depth - 1, found)?;
            }
        } else if is_capture(&path) {
            found.push(path);
        }
    }
    Ok(())
}

/// True of a file that is named like a capture.
fn is_capture(path: &Path) -> bool {
    let end = |path: &Path| path.extension().map(|end| end.to_string_lossy().to_lowercase());
    let is_one_of = |path: &Path, ends: &[&str]| end(path).is_some_and(|end| ends.contains(&&*end));
    let inner = path.with_extension("");
    is_one_of(path, &CAPTURES) || is_one_of(path, &COMPRESSED) && is_one_of(&inner, &CAPTURES)
}

/// True where a name matches a pattern; both are short, and backtracking suffices.
fn matches(pattern: &[u8], name: &[u8]) -> bool {
    match (pattern, name) {
        ([], []) => true,
        ([b'*', rest @ ..], _) => (0..=name.len()).any(|skipped| matches(rest, &name[skipped..])),
        ([b'?', rest @ ..], [_, name @ ..]) => matches(rest, name),
        ([one, rest @ ..], [other, name @ ..]) => one == other && matches(rest, name),
        _ => false,
    }
}

/// Captures that were looked through.
#[derive(Debug)]
pub(super) struct Looked {
    paths: Vec<PathBuf>,
    surveys: Vec<Option<Survey>>,
    home: HomeNet,
    home_net: Vec<IpNet>,
}

impl Looked {
    /// Looks through captures; no prefix means that private addresses are local.
    pub(super) fn at(
        paths: Vec<PathBuf>,
        home_net: &[IpNet],
        with_digest: bool,
    ) -> anyhow::Result<Self> {
        let home = home(home_net);
        let surveys = paths
            .iter()
            .map(|path| Survey::of(path, &home, with_digest))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Self { paths, surveys, home, home_net: home_net.to_vec() })
    }

    #[cfg(feature = "research")]
    pub(super) fn paths(&self) -> &[PathBuf] {
        &self.paths
    }

    pub(super) fn surveys(&self) -> &[Option<Survey>] {
        &self.surveys
    }

    /// Makes sure that the captures are of one time; `remedy` says what else can be done.
    pub(super) fn require_one_time(&self, remedy: &str) -> anyhow::Result<()> {
        let mut spans: Vec<(u64, u64, &Path)> = self
            .surveys
            .iter()
            .zip(&self.paths)
            .filter_map(|(survey, path)| {
                let (first, last) = survey.as_ref()?.time_ns?;
                Some((first, last, path.as_path()))
            })
            .collect();
        spans.sort_unstable();
        let mut ends: Option<(u64, &Path)> = None;
        for (first, last, path) in spans {
            if let Some((end, before)) = ends
                && first.saturating_sub(end) > APART_NS
            {
                anyhow::bail!(
                    "the captures are of no one time: `{}` ends at {} and `{}` begins at {}, {} \
                     later; {remedy}",
                    before.display(),
                    time(end),
                    path.display(),
                    time(first),
                    apart(first - end),
                );
            }
            if ends.is_none_or(|(end, _)| last >= end) {
                ends = Some((last, path));
            }
        }
        Ok(())
    }

    /// Gives up what the packets show of their home side, which takes the most memory.
    pub(super) fn forget_home_side(&mut self) {
        self.surveys.iter_mut().flatten().for_each(|survey| survey.home = HomeSide::default());
    }

    /// What the packets of all show of their home side.
    pub(super) fn home_side(&self) -> HomeSide {
        let mut all = HomeSide::default();
        self.surveys.iter().flatten().for_each(|survey| all.merge(&survey.home));
        all
    }

    /// Makes sure that all are files, whose frames have a digest.
    pub(super) fn require_files(&self) -> anyhow::Result<()> {
        let stream = self.surveys.iter().position(Option::is_none);
        stream.map_or(Ok(()), |at| {
            anyhow::bail!(
                "`{}` can be read only once, so that nothing keeps its rows from being written \
                 twice: save it to a file and replay that",
                self.paths[at].display()
            )
        })
    }

    /// Makes sure that the local side of the packets is told and not guessed, for rows and verdicts
    /// are about the other one.
    pub(super) fn require_home(&self) -> anyhow::Result<()> {
        if !self.home_net.is_empty() {
            return Ok(());
        }
        if let Some(stream) = self.surveys.iter().position(Option::is_none) {
            anyhow::bail!(
                "`{}` cannot be looked through before it is replayed: say with --home-net which \
                 addresses are local, or give a file",
                self.paths[stream].display()
            );
        }
        match guessed(&self.home_side()) {
            None => Ok(()),
            Some(told) => anyhow::bail!("{}: {told}", self.names()),
        }
    }

    fn names(&self) -> String {
        match &self.paths[..] {
            [one] => format!("`{}`", one.display()),
            [first, rest @ ..] => format!("`{}` and {} more", first.display(), rest.len()),
            [] => String::new(),
        }
    }

    /// Opens them for a replay.
    pub(super) fn open(&self, options: ReplayOptions) -> anyhow::Result<Replay> {
        let captures = Captures::surveyed(&self.paths, &self.surveys)?;
        Ok(Replay::new(captures, options.home(self.home.clone())))
    }

    /// How rows of them come about.
    #[cfg(feature = "research")]
    pub(super) fn provenance(&self, window: std::time::Duration) -> dataset::Provenance {
        let origins = self.paths.iter().zip(&self.surveys).filter_map(|(path, survey)| {
            let digest = survey.as_ref()?.digest?;
            Some(dataset::Origin { digest, name: path.display().to_string() })
        });
        let home: Vec<String> = self.home_net.iter().map(ToString::to_string).collect();
        dataset::Provenance {
            origins: origins.collect(),
            window_ns: Some(flows_common::clock::nanos(window)),
            home: Some(if home.is_empty() { "private".to_owned() } else { home.join(",") }),
        }
    }
}

/// The local prefixes; without any, private addresses.
pub(super) fn home(home_net: &[IpNet]) -> HomeNet {
    if home_net.is_empty() { HomeNet::default() } else { HomeNet::new(home_net.iter().copied()) }
}

/// What is wrong with a home side that is mostly guessed, with a proposal; none where it is not.
pub(super) fn guessed(side: &HomeSide) -> Option<String> {
    if !side.is_guessed() {
        return None;
    }
    let share = report::text::percent(side.guessed_share());
    let proposal = side.proposal().map_or_else(String::new, |proposal| {
        let of = report::text::percent(proposal.share);
        format!("{proposal} (at one end of {of} of them), or with ")
    });
    Some(format!(
        "without --home-net private addresses are local, and {share} of the packets have none or \
         two at their ends, so that an attacker may be taken for local: say which addresses are, \
         with {proposal}--home-net and your own prefix"
    ))
}

/// A time as people write it.
fn time(ns: u64) -> String {
    jiff::Timestamp::from_nanosecond(ns.into())
        .map_or_else(|_| format!("{ns} ns"), |time| format!("{time:.0}"))
}

/// A time between captures, in its largest unit.
fn apart(ns: u64) -> String {
    let days = ns / APART_NS;
    if days == 1 { "1 day".to_owned() } else { format!("{} days", report::text::count(days)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn captures_are_found_by_their_names() {
        for name in ["a.pcap", "b.PCAPNG", "c.cap.gz", "d.pcap.zst", ".hidden.pcap"] {
            assert!(is_capture(Path::new(name)), "{name}");
        }
        for name in ["a.parquet", "b.gz", "c.pcap.txt", "pcap", "truth.json"] {
            assert!(!is_capture(Path::new(name)), "{name}");
        }
    }

    #[test]
    fn a_folder_and_a_pattern_stand_for_what_is_in_them_in_order() {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path();
        std::fs::create_dir(root.join("sub")).expect("room");
        for name in ["b.pcap", "a.pcap", "sub/c.pcapng.gz", "note.txt"] {
            std::fs::write(root.join(name), "").expect("room");
        }
        let names = |paths: &[PathBuf]| -> Vec<String> {
            let below =
                |path: PathBuf| path.strip_prefix(root).expect("below").display().to_string();
            expand(paths).expect("captures").into_iter().map(below).collect()
        };
        assert_eq!(names(&[root.to_owned()]), ["a.pcap", "b.pcap", "sub/c.pcapng.gz"]);
        assert_eq!(names(&[root.join("*.pcap")]), ["a.pcap", "b.pcap"]);
        assert_eq!(
            names(&[root.join("?.pcap"), root.join("b.pcap")]),
            ["a.pcap", "b.pcap", "b.pcap"]
        );
        for (path, words) in [("*.cap", "no file matches"), ("sub/none", "")] {
            match expand(&[root.join(path)]) {
                Ok(paths) => assert_eq!((paths.len(), words), (1, ""), "opening it names it"),
                Err(error) => assert!(error.to_string().contains(words) && !words.is_empty()),
            }
        }
        std::fs::create_dir(root.join("none")).expect("room");
        let error = expand(&[root.join("none")]).expect_err("nothing there").to_string();
        assert!(error.contains("no capture below") && error.contains(".pcapng"), "{error}");
    }
}

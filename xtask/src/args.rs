//! The command line, as typed and as understood.

use std::path::PathBuf;

use crate::build_cost::FORMS;
use crate::dist::{self, PARTS};
use crate::training_data::CAPTURES;

/// Text of `--help`.
pub(crate) const HELP: &str = "\
Set-up, demo, tests and benches of weir. Nothing here asks a question.

Usage: cargo xtask <command> [options]

Commands:
  setup                   install what the other commands need, say what that is
  demo  [weir's options]  build weir and run `weir demo`; without root it runs offline
  test  [--quick]         formatting, lints, docs, all tests, licences; ends with
                          `N passed, N failed, N skipped`
                          --quick: unit and documentation tests only, no end-to-end tests
  oracle                  compare the counts of every capture of ../shared/data with tshark's,
                          four minutes; `test` says when it last ran
  kernels [names | --write]
                          boot the kernels that Debian offers (6.1, 6.12, 6.12-rt, newest) under
                          qemu, and check weir on each, on the host and on a baseline CPU; --write
                          keeps the matrix in docs/kernels.md
  bench [bench options]   run the benches and compare them with scikit-learn
  notebooks [--write]     run the notebooks with weir and its Python package; --write keeps
                          the outputs
  training-data [names]   record the captures of training-data/ anew, as root, in 20 minutes
  build-cost [names]      build weir from nothing (node, demo, everything) and print CPU minutes
                          and sizes
  package                 make the packages that others may depend on, and build each from what it
                          holds; nothing is uploaded
  dist [parts] [--out FOLDER] [--programs FOLDER]
                          build a release and make what people install, with checksums and sizes:
                          tarball, deb, image (OCI), wheel, sbom; --programs packages those that are
                          built already
  lint                    formatting and clippy, for the host and for the eBPF target
  docs                    build the documentation, warnings denied
  help                    print this text

Options after `--` are passed on as they are: `cargo xtask demo -- --json`.

Exit codes: 0 all is well, 1 something failed, 2 the command was not understood.
`demo` and `bench` exit with the code of the program they run.";

/// Command as the user asked for it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Command {
    /// Print the help and do nothing else.
    Help,
    /// Install what every other command needs.
    Setup,
    /// Build `weir` and run `weir demo` with these arguments.
    Demo {
        /// Arguments of `weir demo`.
        passed_on: Vec<String>,
    },
    /// Check and test everything.
    Test {
        /// Leave out the integration tests.
        quick: bool,
    },
    /// The comparison with tshark that is too long for every test run.
    Oracle,
    /// weir on other kernels.
    Kernels {
        /// Names; all of them where none is given.
        names: Vec<String>,
        /// Keep the matrix in the documentation.
        write: bool,
    },
    /// Run the benches with these arguments.
    Bench {
        /// Arguments of `weir-bench`.
        passed_on: Vec<String>,
    },
    /// Record captures anew.
    TrainingData {
        /// Names; all of them where none is given.
        names: Vec<String>,
    },
    /// Measure builds.
    BuildCost {
        /// Names; all of them where none is given.
        names: Vec<String>,
    },
    /// Run the notebooks.
    Notebooks {
        /// Keep the outputs in the files.
        write: bool,
    },
    /// Packages as a registry would take them.
    Package,
    /// What people install.
    Dist(dist::Options),
    /// Formatting and clippy.
    Lint,
    /// Rustdoc.
    Docs,
}

/// Reads the arguments after the program's name. The error is one line for the user.
pub(crate) fn parse(typed: impl IntoIterator<Item = String>) -> Result<Command, String> {
    let mut typed = typed.into_iter();
    let Some(name) = typed.next() else {
        return Err("no command given".to_owned());
    };
    let options: Vec<String> = typed.collect();
    if asks_for_help(&name) || options.first().is_some_and(|first| asks_for_help(first)) {
        return Ok(Command::Help);
    }
    match name.as_str() {
        "help" => Ok(Command::Help),
        "setup" => without_options(&options, Command::Setup),
        "demo" => Ok(Command::Demo { passed_on: after_separator(options) }),
        "test" => Ok(Command::Test { quick: flag("test", "--quick", &options)? }),
        "oracle" => without_options(&options, Command::Oracle),
        "bench" => Ok(Command::Bench { passed_on: after_separator(options) }),
        "kernels" => {
            let (write, given) = options.into_iter().partition::<Vec<_>, _>(|one| one == "--write");
            let names = names("kernel", &crate::kernels::names(), given)?;
            match (&names[..], write.is_empty()) {
                ([first, ..], false) => {
                    Err(format!("`--write` keeps the whole matrix, and not `{first}` alone"))
                }
                (_, absent) => Ok(Command::Kernels { names, write: !absent }),
            }
        }
        "training-data" => {
            Ok(Command::TrainingData { names: names("capture", &CAPTURES, options)? })
        }
        "build-cost" => {
            let known = FORMS.map(|(name, _)| name);
            Ok(Command::BuildCost { names: names("build", &known, options)? })
        }
        "notebooks" => Ok(Command::Notebooks { write: flag("notebooks", "--write", &options)? }),
        "package" => without_options(&options, Command::Package),
        "dist" => Ok(Command::Dist(dist_options(options)?)),
        "lint" => without_options(&options, Command::Lint),
        "docs" => without_options(&options, Command::Docs),
        other => Err(format!("no command is called `{other}`")),
    }
}

fn dist_options(typed: Vec<String>) -> Result<dist::Options, String> {
    let mut options = dist::Options::default();
    let mut typed = typed.into_iter();
    while let Some(word) = typed.next() {
        let mut folder = || match typed.next() {
            Some(folder) => Ok(Some(PathBuf::from(folder))),
            None => Err(format!("`{word}` wants a folder")),
        };
        match word.as_str() {
            "--out" => options.out = folder()?,
            "--programs" => options.programs = folder()?,
            _ => options.parts.push(word),
        }
    }
    options.parts = names("part", &PARTS, options.parts)?;
    Ok(options)
}

fn asks_for_help(option: &str) -> bool {
    matches!(option, "--help" | "-h")
}

fn without_options(options: &[String], command: Command) -> Result<Command, String> {
    match options.first() {
        None => Ok(command),
        Some(first) => Err(format!("this command takes no options, got `{first}`")),
    }
}

/// The names, where each is one of those known.
fn names(what: &str, known: &[&str], names: Vec<String>) -> Result<Vec<String>, String> {
    match names.iter().find(|name| !known.contains(&name.as_str())) {
        None => Ok(names),
        Some(name) => Err(format!("no {what} is called `{name}`; there are {}", known.join(", "))),
    }
}

/// Whether the one option that a command takes is given.
fn flag(command: &str, flag: &str, options: &[String]) -> Result<bool, String> {
    match options {
        [] => Ok(false),
        [only] if only == flag => Ok(true),
        [first, ..] => Err(format!("`{command}` takes only `{flag}`, got `{first}`")),
    }
}

fn after_separator(mut options: Vec<String>) -> Vec<String> {
    if options.first().is_some_and(|first| first == "--") {
        options.remove(0);
    }
    options
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Command, String> {
        parse(line.split_whitespace().map(str::to_owned))
    }

    fn strings(words: &[&str]) -> Vec<String> {
        words.iter().map(|&word| word.to_owned()).collect()
    }

    #[test]
    fn each_command_is_understood() {
        let cases = [
            ("help", Command::Help),
            ("--help", Command::Help),
            ("-h", Command::Help),
            ("test --help", Command::Help),
            ("demo --help", Command::Help),
            ("setup", Command::Setup),
            ("lint", Command::Lint),
            ("package", Command::Package),
            ("oracle", Command::Oracle),
            ("docs", Command::Docs),
            ("notebooks", Command::Notebooks { write: false }),
            ("notebooks --write", Command::Notebooks { write: true }),
            ("test", Command::Test { quick: false }),
            ("test --quick", Command::Test { quick: true }),
            ("demo", Command::Demo { passed_on: vec![] }),
            ("demo --json", Command::Demo { passed_on: strings(&["--json"]) }),
            ("demo -- --json", Command::Demo { passed_on: strings(&["--json"]) }),
            ("demo -- --help", Command::Demo { passed_on: strings(&["--help"]) }),
            ("kernels", Command::Kernels { names: vec![], write: false }),
            ("kernels 6.1", Command::Kernels { names: strings(&["6.1"]), write: false }),
            ("kernels --write", Command::Kernels { names: vec![], write: true }),
            ("training-data", Command::TrainingData { names: vec![] }),
            ("training-data mixed", Command::TrainingData { names: strings(&["mixed"]) }),
            ("build-cost demo", Command::BuildCost { names: strings(&["demo"]) }),
            ("dist", Command::Dist(dist::Options::default())),
            (
                "dist deb --programs target/debug --out made",
                Command::Dist(dist::Options {
                    out: Some("made".into()),
                    programs: Some("target/debug".into()),
                    parts: strings(&["deb"]),
                }),
            ),
            ("bench -- a -- b", Command::Bench { passed_on: strings(&["a", "--", "b"]) }),
        ];
        for (line, expected) in cases {
            assert_eq!(parsed(line), Ok(expected), "{line}");
        }
    }

    #[test]
    fn a_mistake_is_named() {
        let cases = [
            ("", "no command given"),
            ("tset", "no command is called `tset`"),
            ("setup now", "this command takes no options, got `now`"),
            ("lint --fix", "this command takes no options, got `--fix`"),
            (
                "training-data all",
                "no capture is called `all`; there are benign-train, benign-test, mixed, demo",
            ),
            ("kernels 6.1 --write", "`--write` keeps the whole matrix, and not `6.1` alone"),
            (
                "kernels 5.15",
                "no kernel is called `5.15`; there are 6.1, 6.12, 6.12-rt, newest, host, baseline",
            ),
            ("build-cost all", "no build is called `all`; there are node, demo, everything"),
            ("dist rpm", "no part is called `rpm`; there are tarball, deb, image, wheel, sbom"),
            ("dist --out", "`--out` wants a folder"),
            ("test --fast", "`test` takes only `--quick`, got `--fast`"),
            ("notebooks 01", "`notebooks` takes only `--write`, got `01`"),
            ("test --quick more", "`test` takes only `--quick`, got `--quick`"),
        ];
        for (line, expected) in cases {
            assert_eq!(parsed(line), Err(expected.to_owned()), "{line}");
        }
    }

    #[test]
    fn the_help_names_every_command() {
        let all = "setup demo test oracle bench notebooks training-data build-cost dist lint docs";
        for command in all.split_whitespace() {
            assert!(HELP.contains(&format!("\n  {command} ")), "{command}");
        }
    }
}

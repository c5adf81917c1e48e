//! `weir-bench`: measure, print one table, write it as JSON.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context as _;
use benches::{
    machine::Machine,
    report::{FORMAT, Report},
    section::{Effort, SECTIONS, Section, memory},
};
use clap::Parser;

/// The exit code where something was tried and did not work. A bound that is missed is no
/// failure of the run: the table says so.
const FAILED: u8 = 1;

/// Measure weir against the numbers in its design, and print one table.
#[derive(Debug, Parser)]
#[command(name = "weir-bench", version)]
struct Arguments {
    /// Run only this section; may be given several times.
    #[arg(long, value_name = "NAME", value_parser = section)]
    only: Vec<&'static Section>,
    /// Fewer rounds and smaller sizes: to see that everything runs.
    #[arg(long)]
    quick: bool,
    /// List the sections and exit.
    #[arg(long)]
    list: bool,
    /// Path of the JSON [default: bench.json in cargo's target folder].
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Hold what the section `memory` measures, and tell; it starts a process for that.
    #[arg(long, hide = true, value_name = "MODEL")]
    memory_probe: Option<PathBuf>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if arguments.list {
        for section in SECTIONS {
            println!("{:9} {}", section.name, section.about);
        }
        return ExitCode::SUCCESS;
    }
    let result = match &arguments.memory_probe {
        Some(model) => probe(model),
        None => run(&arguments),
    };
    match result {
        Ok(code) => code,
        Err(error) => {
            eprintln!("weir-bench: {error:#}");
            ExitCode::from(FAILED)
        }
    }
}

fn probe(model: &Path) -> anyhow::Result<ExitCode> {
    println!("{}", serde_json::to_string(&memory::probe(model)?)?);
    Ok(ExitCode::SUCCESS)
}

fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let effort = if arguments.quick { Effort::Quick } else { Effort::Full };
    let mut report = Report {
        format: FORMAT,
        started: jiff::Timestamp::now().to_string(),
        quick: arguments.quick,
        machine: Machine::here(),
        sections: Vec::new(),
    };
    for section in &SECTIONS {
        let asked = arguments.only.iter().any(|only| only.name == section.name);
        if asked || arguments.only.is_empty() {
            eprintln!("{}: {} …", section.name, section.about);
            report.sections.push(section.run(effort));
        }
    }
    print!("{}", report.table());

    let path = arguments.json.clone().unwrap_or_else(default_json);
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    }
    fs::write(&path, report.json()).with_context(|| format!("cannot write {}", path.display()))?;
    println!("wrote {}", path.display());
    Ok(if report.has_failures() { ExitCode::from(FAILED) } else { ExitCode::SUCCESS })
}

fn section(name: &str) -> Result<&'static Section, String> {
    Section::by_name(name).ok_or_else(|| {
        let names: Vec<&str> = SECTIONS.iter().map(|section| section.name).collect();
        format!("no section `{name}`; there are {}", names.join(", "))
    })
}

/// The program lies in `<target>/<profile>/weir-bench`, wherever the target folder is.
fn default_json() -> PathBuf {
    env::current_exe()
        .ok()
        .and_then(|program| program.parent()?.parent().map(Path::to_path_buf))
        .unwrap_or_else(|| PathBuf::from("target"))
        .join("bench.json")
}

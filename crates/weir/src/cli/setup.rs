//! `weir setup`: from nothing to a node that observes, and the next step from wherever it stands.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

use anyhow::Context as _;
use clap::Args;
use collector::{
    config::RawConfig,
    protected::uplinks,
    setup::{FILE, Plan, next_step},
};
use control::{Client, wire::Status};
use datapath::Severity;

use super::{FAILED, Layers, doctor, node::if_running};

/// Where units of packages and of people are.
const UNITS: [&str; 2] =
    ["/usr/lib/systemd/system/weir.service", "/etc/systemd/system/weir.service"];

#[derive(Debug, Args)]
pub(super) struct SetupArgs {
    /// An interface to watch, by name or glob; may be given several times. Without it the one that the
    /// default route goes through.
    #[arg(long, short, value_name = "NAME")]
    interface: Vec<String>,
    /// Say what would be done, and change nothing.
    #[arg(long)]
    dry_run: bool,
}

impl SetupArgs {
    pub(super) fn run(self, layers: &Layers) -> anyhow::Result<ExitCode> {
        let file = layers.config.clone().unwrap_or_else(|| FILE.into());
        let before = read(&file)?;
        let model = RawConfig::read(None)?.ledger.path.with_file_name("model.weir");
        let learnt = Some(&model).filter(|path| path.exists()).cloned();
        let chosen = if before.is_none() && self.interface.is_empty() {
            vec![uplink()?]
        } else {
            self.interface
        };
        let plan = Plan::of(before.as_deref(), chosen, learnt);
        let config = match &plan {
            Plan::Write(first) => first.raw(),
            Plan::Done | Plan::Yours(_) => RawConfig::read(Some(&file))?,
        };
        let config = config.check()?;
        let mut findings = doctor::examine(&config);
        findings.retain(|finding| finding.severity != Severity::Good);
        print!("{}", doctor::text(&findings));
        if findings.iter().any(|finding| finding.severity == Severity::Missing) {
            eprintln!(
                "weir: something is missing, and nothing was changed; `weir doctor` lists all"
            );
            return Ok(ExitCode::from(FAILED));
        }
        write(&file, &plan, self.dry_run)?;
        tell("watches", &config.interfaces.join(", "));
        let status = || if_running(Client::unix(&config.api.socket)?.status());
        let service = Service::of(&file);
        let now = match (&plan, status()?) {
            (Plan::Write(_), Some(_)) | (_, None) if !self.dry_run && service.is_there => {
                service.restart()?;
                status()?
            }
            (_, found) => found,
        };
        tell("node", &state(now.as_ref()));
        tell("next", &next_step(now.as_ref(), &file, &model, &service.command));
        Ok(ExitCode::SUCCESS)
    }
}

fn tell(name: &str, what: &str) {
    println!("{name:<11}{what}");
}

fn state(status: Option<&Status>) -> String {
    match status {
        Some(status) => format!("runs as process {}, mode {}", status.pid, status.mode.name()),
        None => "does not run".to_owned(),
    }
}

/// The file's text; none where there is no file.
fn read(file: &Path) -> anyhow::Result<Option<String>> {
    match fs::read_to_string(file) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("cannot read `{}`", file.display())),
    }
}

/// The interface of the first default route; others are named.
fn uplink() -> anyhow::Result<String> {
    let mut found = uplinks()?.into_iter();
    let first = found.next().context(
        "no default route tells which interface leads out; name one with --interface, `ip -brief link` \
         lists them",
    )?;
    let by = first.gateway.map_or_else(String::new, |hop| format!(", by {hop}"));
    tell("uplink", &format!("{}: the default route goes through it{by}", first.interface));
    for other in found {
        tell("", &format!("{} has one too; --interface adds it", other.interface));
    }
    Ok(first.interface)
}

/// Carries the plan out, or says what it would do.
fn write(file: &Path, plan: &Plan, dry_run: bool) -> anyhow::Result<()> {
    let shown = file.display();
    match plan {
        Plan::Write(first) if dry_run => {
            tell("config", &format!("{shown} would be written:\n\n{}", first.to_toml()));
        }
        Plan::Write(first) => {
            let folder = file.parent().unwrap_or(file);
            fs::create_dir_all(folder)
                .and_then(|()| fs::write(file, first.to_toml()))
                .with_context(|| format!("cannot write `{shown}`; run this as root"))?;
            tell("config", &format!("{shown} is written"));
        }
        Plan::Done => tell("config", &format!("{shown} stays as it is")),
        Plan::Yours(wanted) => {
            tell("config", &format!("{shown} is yours and stays as it is"));
            if let Some(model) = &wanted.model {
                tell(
                    "",
                    &format!("the model that was learnt: `model.path = \"{}\"`", model.display()),
                );
            }
        }
    }
    Ok(())
}

/// What keeps the node running.
struct Service {
    is_there: bool,
    command: String,
}

impl Service {
    /// systemd's unit, where there is one and this is its file.
    fn of(file: &Path) -> Self {
        let is_there = file == Path::new(FILE)
            && Path::new("/run/systemd/system").is_dir()
            && UNITS.map(PathBuf::from).iter().any(|unit| unit.exists());
        let command = if is_there {
            "systemctl restart weir".to_owned()
        } else {
            format!("weir run --config {}", file.display())
        };
        Self { is_there, command }
    }

    /// Starts it, or starts it anew; it watches when this returns.
    fn restart(&self) -> anyhow::Result<()> {
        let mut words = self.command.split_whitespace();
        let mut command = Command::new(words.next().unwrap_or_default());
        let status = command.args(words).status().context("`systemctl` cannot be run")?;
        anyhow::ensure!(
            status.success(),
            "`{}` ended with {status}; `journalctl --unit weir` says why",
            self.command
        );
        Ok(())
    }
}

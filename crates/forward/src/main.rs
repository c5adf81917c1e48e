//! `weir-forward`: events of a node, to a SIEM.

use std::{fs, path::PathBuf, process::ExitCode, thread};

use anyhow::Context as _;
use clap::Parser;
use control::Client;
use weir_forward::{Format, Forwarder, Observer, Spool, Target, follow};

const MEBIBYTE: u64 = 1_024 * 1_024;

/// Send the events of a running weir to a SIEM: findings with their reasons, blocks and their ends,
/// changes, losses.
///
/// What the sink does not take waits on disk, over restarts.
#[derive(Debug, Parser)]
#[command(name = "weir-forward", version)]
struct Arguments {
    /// Where to: `-`, `file:///PATH`, `journald:`, `syslog+udp://`, `syslog+tcp://` or
    /// `syslog+tls://HOST:PORT`, `https://…` (a webhook), `otlp+https://HOST:PORT`.
    #[arg(long, value_name = "TARGET")]
    to: Target,
    /// Format of the events.
    #[arg(long, value_enum, default_value_t = Format::Json)]
    format: Format,
    /// The node's Unix socket.
    #[arg(long, value_name = "PATH", default_value = "/run/weir/weir.sock")]
    socket: PathBuf,
    /// Folder of the events that wait, one for each target.
    #[arg(long, value_name = "FOLDER", default_value = "/var/lib/weir-forward")]
    spool: PathBuf,
    /// Size of it at most, in MiB; beyond it the oldest are dropped, counted and told.
    #[arg(long, value_name = "MIB", default_value_t = 64, value_parser = clap::value_parser!(u64).range(1..=1_048_576))]
    spool_mib: u64,
    /// Certificates of the authorities that the server's is signed by, in PEM; the machine's
    /// without it.
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// A file with the bearer token for HTTP.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Name of this host in the events; the system's without it.
    #[arg(long, value_name = "NAME")]
    host: Option<String>,
}

fn main() -> ExitCode {
    #[cfg(feature = "reference")]
    if let Some(ended) = reference::answer(&<Arguments as clap::CommandFactory>::command()) {
        return ended;
    }
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tell(&format!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn tell(line: &str) {
    eprintln!("weir-forward: {line}");
}

fn fail(error: &anyhow::Error) -> ! {
    tell(&format!("{error:#}"));
    std::process::exit(1)
}

fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let token = match &arguments.token_file {
        Some(path) => {
            let text = fs::read_to_string(path)
                .with_context(|| format!("--token-file `{}`", path.display()))?;
            Some(text.trim().to_owned())
        }
        None => None,
    };
    let observer = Observer { host: host(arguments.host.as_deref())? };
    let is_json = arguments.format.is_json();
    let mut sink =
        arguments.to.sink(&observer, is_json, arguments.ca.as_deref(), token.as_deref())?;
    let spool = Spool::open(&arguments.spool, arguments.spool_mib * MEBIBYTE)?;
    let client = Client::unix(&arguments.socket)?;
    let forwarder = Forwarder::new(spool, tell);
    tell(&format!("events of `{}` go to {}", arguments.socket.display(), arguments.to));
    thread::scope(|scope| {
        // Each is for good; what ends first has failed, and the process with it.
        scope.spawn(|| {
            let Err(error) = forwarder.feed(&mut *sink, arguments.format, &observer);
            fail(&error.into());
        });
        if let Err(error) = follow(&client, &forwarder) {
            fail(&error);
        }
    });
    Ok(())
}

fn host(given: Option<&str>) -> anyhow::Result<String> {
    let name = match given {
        Some(name) => name.to_owned(),
        None => nix::unistd::gethostname()?.to_string_lossy().into_owned(),
    };
    // RFC 5424: printable ASCII without a space.
    if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_graphic()) {
        anyhow::bail!("`{name}` is no name of a host for a SIEM; give one with --host");
    }
    Ok(name)
}

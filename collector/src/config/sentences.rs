//! The configuration in sentences: what a node of it will do.

use std::{fmt::Write as _, time::Duration};

use humantime::format_duration;

use super::{Config, Mode, XdpChoice};

/// What a node will do, a line each.
#[must_use]
pub fn sentences(config: &Config) -> String {
    let mut lines = vec![watches(config), scores(config), acts(config), spares(config)];
    lines.extend(guards(config));
    lines.extend([tells(config), answers(config)]);
    lines.into_iter().fold(String::new(), |mut text, line| {
        // A string takes all.
        let _ = writeln!(text, "- {line}");
        text
    })
}

fn watches(config: &Config) -> String {
    let window = format_duration(config.window);
    match &config.interfaces[..] {
        [] => "it watches nothing: `capture.interfaces` is empty, and --interface names one"
            .to_owned(),
        names => format!("it watches {}, in windows of {window}", names.join(", ")),
    }
}

fn scores(config: &Config) -> String {
    match &config.model {
        None => "it scores nothing: flows are counted, blocks of people and lists hold".to_owned(),
        Some(path) if config.learn => {
            format!("it scores with `{}`, and goes on learning", path.display())
        }
        Some(path) => format!("it scores with `{}`, which stays as it is", path.display()),
    }
}

fn acts(config: &Config) -> String {
    let policy = &config.policy;
    let for_long = |time: Duration| format_duration(time).to_string();
    match policy.mode {
        Mode::Observe => "it tells what is unusual, and blocks nobody by itself".to_owned(),
        Mode::Shadow => {
            "it has the kernel count what it would drop, and drops nothing by itself".to_owned()
        }
        Mode::Enforce => format!(
            "it drops or limits what is unusual, for {} at first and {} at most, {} at once",
            for_long(policy.ttl),
            for_long(policy.max_ttl),
            policy.max_blocks
        ),
    }
}

fn spares(config: &Config) -> String {
    let mut text =
        "it never blocks this host's own addresses, gateways, name servers, who is logged in from \
                    elsewhere, and what people allow"
            .to_owned();
    let (nets, files) = (&config.policy.allow, &config.policy.allow_files);
    if !nets.is_empty() {
        let nets: Vec<String> = nets.iter().map(ToString::to_string).collect();
        let _ = write!(text, "; nor {}", nets.join(", "));
    }
    for file in files {
        let _ = write!(text, "; nor what `{}` lists", file.display());
    }
    text
}

fn guards(config: &Config) -> Option<String> {
    if config.policy.mode == Mode::Observe {
        return None;
    }
    let place = match config.guard.xdp {
        XdpChoice::Auto => "at XDP in the driver where it can be, else at TC ingress",
        XdpChoice::Native => "at XDP in the driver, or the start is refused",
        XdpChoice::Exclusive => {
            "at XDP in the driver with no program beside it, or the start is refused"
        }
        XdpChoice::Generic => "at XDP's generic hook",
        XdpChoice::Off => "at TC ingress",
    };
    let stays = if config.guard.persist {
        format!("it stays, pinned in `{}`, when the process ends", config.guard.bpffs.display())
    } else {
        "it goes with the process".to_owned()
    };
    Some(format!("its guard is {place}; {stays}"))
}

fn tells(config: &Config) -> String {
    let ledger = &config.ledger;
    let kept = if ledger.enabled {
        let age = format_duration(ledger.max_age);
        format!("it keeps what was decided in `{}`, {age} at most", ledger.path.display())
    } else {
        "it keeps no record of what was decided".to_owned()
    };
    let events = config.events.path.as_ref();
    let events = events.map(|path| format!(", and writes events to `{}`", path.display()));
    let log_ins =
        config.log_ins.journal.then_some("; it reads failed log-ins of sshd's from the journal");
    format!("{kept}{}{}", events.unwrap_or_default(), log_ins.unwrap_or_default())
}

fn answers(config: &Config) -> String {
    let api = &config.raw.api;
    let mut text = format!("it answers at `{}`", api.socket.display());
    if let Some(listen) = api.listen {
        let _ = write!(text, " and at {listen}");
        let open = match (api.reads_open, api.metrics_open) {
            (true, _) => "; whoever reads there needs no token",
            (false, true) => "; metrics and health need no token there",
            (false, false) => "; whoever asks there needs a token",
        };
        text.push_str(open);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::RawConfig;

    #[test]
    fn what_a_node_will_do_is_told_in_sentences() {
        let mut raw = RawConfig::default();
        raw.guard.bpffs = "/sys/fs/bpf".into();
        let told = |raw: &RawConfig| sentences(&raw.clone().check().expect("a valid one"));
        assert_eq!(
            told(&raw),
            "- it watches nothing: `capture.interfaces` is empty, and --interface names one\n\
             - it scores nothing: flows are counted, blocks of people and lists hold\n\
             - it tells what is unusual, and blocks nobody by itself\n\
             - it never blocks this host's own addresses, gateways, name servers, who is logged in \
             from elsewhere, and what people allow\n\
             - it keeps what was decided in `/var/lib/weir/ledger.db`, 30days at most\n\
             - it answers at `/run/weir/weir.sock`\n"
        );
        raw.capture.interfaces = vec!["eth0".to_owned()];
        raw.model.path = Some("/m.weir".into());
        raw.policy.mode = Mode::Enforce;
        raw.policy.allow = vec!["192.0.2.0/24".parse().expect("a prefix")];
        raw.policy.allow_files = vec!["/allow.txt".into()];
        raw.log_ins.journal = true;
        raw.events.path = Some("/events.jsonl".into());
        raw.api.listen = Some("127.0.0.1:9464".parse().expect("an address"));
        raw.api.metrics_open = true;
        assert_eq!(
            told(&raw),
            "- it watches eth0, in windows of 1s\n\
             - it scores with `/m.weir`, and goes on learning\n\
             - it drops or limits what is unusual, for 5m at first and 1day at most, 1000 at once\n\
             - it never blocks this host's own addresses, gateways, name servers, who is logged in \
             from elsewhere, and what people allow; nor 192.0.2.0/24; nor what `/allow.txt` lists\n\
             - its guard is at XDP in the driver where it can be, else at TC ingress; it stays, pinned in \
             `/sys/fs/bpf`, when the process ends\n\
             - it keeps what was decided in `/var/lib/weir/ledger.db`, 30days at most, and writes events to \
             `/events.jsonl`; it reads failed log-ins of sshd's from the journal\n\
             - it answers at `/run/weir/weir.sock` and at 127.0.0.1:9464; metrics and health need no \
             token there\n"
        );
    }
}

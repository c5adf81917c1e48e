//! Records at daemons of this machine, each in a place of its own: rsyslog and the journal.

use std::{
    fs,
    net::UdpSocket,
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use nix::{
    mount::{MsFlags, mount},
    sched::{CloneFlags, unshare},
};
use serde_json::Value;
use weir_forward::{Observer, Record, Severity, Sink, Target};

const PATIENCE: Duration = Duration::from_secs(20);

fn record(text: &str) -> Record {
    let time: Timestamp = "2026-11-28T19:00:00.25Z".parse().unwrap();
    Record { time, severity: Severity::High, name: "anomaly", text: text.to_owned() }
}

fn sink(target: &str) -> Box<dyn Sink> {
    let observer = Observer { host: "gate.example".to_owned() };
    target.parse::<Target>().unwrap().sink(&observer, true, None, None).unwrap()
}

/// What `look` finds, once it does.
fn wait_for<T>(what: &str, look: impl Fn() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(started.elapsed() < PATIENCE, "{what}");
        thread::sleep(Duration::from_millis(50));
    }
}

/// A daemon that ends with the test.
struct Daemon(Child);

impl Daemon {
    fn start(command: &mut Command) -> Self {
        Self(command.stdin(Stdio::null()).spawn().expect("it starts"))
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Each property that rsyslog read, behind a bar.
const RSYSLOG: &str = r#"
module(load="imtcp")
module(load="imudp")
input(type="imtcp" port="0" address="127.0.0.1" listenPortFileName="FOLDER/port")
input(type="imudp" port="UDP" address="127.0.0.1")
template(name="read" type="string"
    string="%hostname%|%app-name%|%msgid%|%syslogseverity%|%timereported:::date-rfc3339%|%msg%\n")
action(type="omfile" file="FOLDER/read" template="read")
"#;

#[test]
fn rsyslog_reads_what_is_sent_over_tcp_and_udp() {
    let Some(rsyslogd) = test_support::program("rsyslogd") else { return };
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    // A port that is free a moment before.
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let configuration =
        RSYSLOG.replace("FOLDER", folder.path().to_str().unwrap()).replace("UDP", &udp.to_string());
    fs::write(path("conf"), configuration).unwrap();
    let mut command = Command::new(rsyslogd);
    command.arg("-n").arg("-f").arg(path("conf")).arg("-i").arg(path("pid"));
    let daemon = Daemon::start(&mut command);
    let tcp = wait_for("rsyslog listens", || {
        fs::read_to_string(path("port")).ok()?.trim().parse::<u16>().ok()
    });
    sink(&format!("syslog+tcp://127.0.0.1:{tcp}")).send(&[record("one"), record("two")]).unwrap();
    sink(&format!("syslog+udp://127.0.0.1:{udp}")).send(&[record("three")]).unwrap();
    let lines = wait_for("three lines are read", || {
        let text = fs::read_to_string(path("read")).ok()?;
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines.sort();
        (lines.len() == 3).then_some(lines)
    });
    let head = "gate.example|weir|anomaly|3|2026-11-28T19:00:00.250000Z|";
    assert_eq!(lines, ["one", "three", "two"].map(|text| format!("{head}{text}")));
    drop(daemon);
}

const JOURNALD: &str = "/usr/lib/systemd/systemd-journald";

/// From here on this thread, and what it starts, has folders of its own at these places.
fn empty_folders(places: &[&str]) -> nix::Result<()> {
    unshare(CloneFlags::CLONE_NEWNS)?;
    let nothing = None::<&str>;
    mount(nothing, "/", nothing, MsFlags::MS_REC | MsFlags::MS_PRIVATE, nothing)?;
    places.iter().try_for_each(|place| {
        mount(Some("tmpfs"), *place, Some("tmpfs"), MsFlags::empty(), nothing)
    })
}

#[test]
fn the_journal_keeps_what_is_sent() {
    if !test_support::root() {
        return;
    }
    let (Some(journalctl), true) =
        (test_support::program("journalctl"), Path::new(JOURNALD).exists())
    else {
        return test_support::skip(&format!("`{JOURNALD}` is not installed"));
    };
    fs::create_dir_all("/run/systemd").and_then(|()| fs::create_dir_all("/run/log")).unwrap();
    empty_folders(&["/run/systemd", "/run/log"]).unwrap();
    let gone = sink("journald:").send(&[record("for nobody")]).unwrap_err();
    assert!(gone.to_string().contains("no journal listens"), "{gone}");
    fs::create_dir("/run/systemd/journal").unwrap();
    let daemon = Daemon::start(Command::new(JOURNALD).stdout(Stdio::null()).stderr(Stdio::null()));
    wait_for("the journal listens", || {
        Path::new("/run/systemd/journal/socket").exists().then_some(())
    });
    let mut sink = sink("journald:");
    let long = "x".repeat(20_000);
    sink.send(&[record("one"), record(&long)]).unwrap();
    let entries: Vec<Value> = wait_for("two entries are kept", || {
        let mut command = Command::new(&journalctl);
        command.args(["--directory=/run/log/journal", "--output=json", "--all"]);
        let output = command.arg("--identifier=weir").output().expect("journalctl starts");
        let text = String::from_utf8(output.stdout).ok()?;
        let entries: Option<Vec<Value>> =
            text.lines().map(|line| serde_json::from_str(line).ok()).collect();
        entries.filter(|entries| entries.len() == 2)
    });
    assert_eq!(entries[0]["MESSAGE"], "one");
    assert_eq!(entries[0]["PRIORITY"], "3");
    assert_eq!(entries[0]["WEIR_EVENT"], "anomaly");
    assert_eq!(entries[1]["MESSAGE"], long);
    drop(daemon);
}

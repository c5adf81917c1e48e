//! Failed log-ins, by the system's journal: what sshd says of passwords that were wrong.
//!
//! Who can write this: the fields that begin with an underscore are journald's own, which the kernel tells
//! it of the sender (systemd.journal-fields(7)). Only what root's sshd sent is read, by user and by
//! executable; what `logger` sends in its name is not, as anybody may, and neither is `auth.log`, whose
//! lines do not tell. The remote chooses the user's name within a message: the address is read from
//! its end, where sshd puts it.

use std::{
    io::{self, BufRead as _, BufReader},
    net::IpAddr,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, PoisonError},
    thread::{self, JoinHandle},
};

use serde::Deserialize;
use serde_json::Value;

use crate::node::Node;

/// Follows the journal: sshd of root, from now on. Names are of OpenSSH before and since 9.8.
const JOURNALCTL: &[&str] = &[
    "journalctl",
    "--follow",
    "--lines=0",
    "--output=json",
    "--output-fields=MESSAGE,_UID,_EXE",
    "_UID=0",
    "_COMM=sshd",
    "_COMM=sshd-session",
    "_COMM=sshd-auth",
];
/// Executables that tell of log-ins.
const SSHD: [&str; 3] = ["sshd", "sshd-session", "sshd-auth"];
/// Where a system's own executables are: a user's `sshd` is somewhere else.
const FOLDERS: [&str; 2] = ["/usr/", "/sbin/"];
/// Methods whose failure is a wrong guess. Keys are none: a client offers one after the other.
const METHODS: [&str; 2] = ["Failed password for ", "Failed keyboard-interactive/pam for "];

/// A reader of the journal.
#[derive(Debug)]
pub struct LogIns {
    child: Arc<Mutex<Child>>,
    thread: JoinHandle<()>,
}

impl LogIns {
    /// Starts reading: each failed log-in is the node's to know.
    ///
    /// # Errors
    /// There is no `journalctl`, or no thread.
    pub fn follow(node: Arc<Node>) -> io::Result<Self> {
        Self::read(JOURNALCTL, move |peer| node.failed_log_in(peer))
    }

    fn read(command: &[&str], mut failed: impl FnMut(IpAddr) + Send + 'static) -> io::Result<Self> {
        let mut child = Command::new(command[0])
            .args(&command[1..])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()?;
        let lines = child.stdout.take().map(BufReader::new);
        let child = Arc::new(Mutex::new(child));
        let thread = thread::Builder::new().name("weir-log-ins".to_owned()).spawn(move || {
            for line in lines.into_iter().flat_map(BufReader::lines) {
                match line {
                    Ok(line) => failed_log_in(&line).into_iter().for_each(&mut failed),
                    Err(error) => {
                        tracing::warn!(%error, "a line of the journal is not read");
                        break;
                    }
                }
            }
            tracing::info!("failed log-ins are not read any more: journalctl has ended");
        })?;
        Ok(Self { child, thread })
    }

    /// Ends the reader, and waits for it.
    pub fn stop(self) {
        let mut child = self.child.lock().unwrap_or_else(PoisonError::into_inner);
        // One that has ended already is no failure.
        let _ = child.kill();
        let _ = child.wait();
        drop(child);
        if self.thread.join().is_err() {
            tracing::error!("the reader of the journal panicked; this is a bug");
        }
    }
}

/// An entry of the journal. A message that is no text is an array of bytes.
#[derive(Deserialize)]
struct Entry {
    #[serde(rename = "MESSAGE")]
    message: Value,
    #[serde(rename = "_UID")]
    uid: String,
    #[serde(rename = "_EXE")]
    executable: String,
}

/// The remote that failed to log in, if an entry of the journal tells of one.
fn failed_log_in(line: &str) -> Option<IpAddr> {
    let entry: Entry = serde_json::from_str(line).ok()?;
    let (folder, name) = entry.executable.rsplit_once('/')?;
    let is_system = FOLDERS.iter().any(|one| format!("{folder}/").starts_with(one));
    if entry.uid != "0" || !is_system || !SSHD.contains(&name) {
        return None;
    }
    let message = match &entry.message {
        Value::String(text) => text.clone(),
        Value::Array(bytes) => {
            let byte = |one: &Value| one.as_u64().and_then(|one| u8::try_from(one).ok());
            let bytes: Vec<u8> = bytes.iter().filter_map(byte).collect();
            String::from_utf8_lossy(&bytes).into_owned()
        }
        _ => return None,
    };
    let behind = METHODS.iter().find_map(|method| message.strip_prefix(method))?;
    // `{user} from {address} port {port} ssh2`: of several, the last is sshd's.
    let (_, end) = behind.rsplit_once(" from ")?;
    let mut words = end.split(' ');
    let address: IpAddr = words.next()?.parse().ok()?;
    let told = (words.next()?, words.next()?.parse::<u16>().ok()?, words.next()?, words.next());
    matches!(told, ("port", _, "ssh2", None)).then(|| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    fn entry(uid: &str, executable: &str, message: &str) -> String {
        serde_json::json!({ "_UID": uid, "_EXE": executable, "MESSAGE": message }).to_string()
    }

    const SYSTEM: &str = "/usr/lib/openssh/sshd-session";
    const GUESS: &str = "Failed password for root from 203.0.113.7 port 40122 ssh2";

    #[test]
    fn a_failed_log_in_names_its_remote() {
        let told = |message| failed_log_in(&entry("0", SYSTEM, message));
        let expect = Some(IpAddr::from([203, 0, 113, 7]));
        assert_eq!(told(GUESS), expect);
        assert_eq!(told("Failed password for invalid user x from 203.0.113.7 port 1 ssh2"), expect);
        assert_eq!(
            told("Failed keyboard-interactive/pam for a from ::ffff:203.0.113.7 port 1 ssh2"),
            expect
        );
        assert_eq!(told("Failed publickey for root from 203.0.113.7 port 40122 ssh2"), None);
        assert_eq!(told("Accepted password for root from 203.0.113.7 port 40122 ssh2"), None);
        assert_eq!(told("Failed password for root from host.example port 40122 ssh2"), None);
    }

    #[test]
    fn a_user_name_accuses_nobody() {
        let named = "Failed password for invalid user x from 192.0.2.9 port 22 ssh2 from \
                     203.0.113.7 port 40122 ssh2";
        let expect = Some(IpAddr::from([203, 0, 113, 7]));
        assert_eq!(failed_log_in(&entry("0", SYSTEM, named)), expect);
        let raw =
            [b"Failed password for \x01 from 192.0.2.9 port 1 ssh2 ", &GUESS.as_bytes()[20..]];
        let bytes = serde_json::json!({ "_UID": "0", "_EXE": SYSTEM, "MESSAGE": raw.concat() });
        assert_eq!(failed_log_in(&bytes.to_string()), expect);
        let cut =
            "Failed password for x from 192.0.2.9 port 22 ssh2 from 203.0.113.7 port 1 ssh2 [pre";
        assert_eq!(failed_log_in(&entry("0", SYSTEM, cut)), None);
    }

    #[test]
    fn what_is_not_roots_sshd_is_nobodys_failure() {
        for (uid, executable) in [
            ("1000", SYSTEM),
            ("0", "/usr/bin/logger"),
            ("0", "/home/user/sshd"),
            ("0", "/home/user/usr/sshd-session"),
        ] {
            assert_eq!(failed_log_in(&entry(uid, executable, GUESS)), None, "{uid} {executable}");
        }
        let forged = serde_json::json!({ "MESSAGE": GUESS, "SYSLOG_IDENTIFIER": "sshd" });
        assert_eq!(failed_log_in(&forged.to_string()), None);
        assert_eq!(failed_log_in("Nov 30 06:00:00 host sshd[1]: Failed password"), None);
    }

    #[test]
    fn the_reader_hands_over_what_comes_and_ends_when_it_is_told_to() {
        let (sender, failed) = mpsc::channel();
        let script = format!("echo '{}'; exec sleep 600", entry("0", SYSTEM, GUESS));
        let reader = LogIns::read(&["sh", "-c", &script], move |peer| {
            let _ = sender.send(peer);
        });
        let reader = reader.expect("sh");
        assert_eq!(failed.recv(), Ok(IpAddr::from([203, 0, 113, 7])));
        reader.stop();
        assert!(failed.recv().is_err());
    }
}

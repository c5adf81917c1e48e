//! Remote log-ins, as the system records them: sessions of logind, and utmp(5).

use std::{collections::BTreeSet, fs, io, net::IpAddr, path::Path};

/// Sessions of systemd-logind: a file each.
const LOGIND: &str = "/run/systemd/sessions";
/// Records of who is logged in.
const UTMP: &str = "/run/utmp";
/// Bytes of a record (`struct utmpx` of 64-bit glibc).
const RECORD: usize = 384;
/// `USER_PROCESS`.
const USER_PROCESS: u16 = 7;
/// Places of a record's process and of the address it came from.
const PID: usize = 4;
const ADDRESS: usize = 348;

/// The addresses from which somebody is logged in. A connection that has not logged in is none,
/// however long it stands.
///
/// # Errors
/// A record that is there cannot be read.
pub(crate) fn remote_log_ins() -> io::Result<BTreeSet<IpAddr>> {
    let is_alive = |pid: u32| Path::new("/proc").join(pid.to_string()).exists();
    let mut found = BTreeSet::new();
    for text in session_files(Path::new(LOGIND))? {
        found.extend(of_session(&text));
    }
    match fs::read(UTMP) {
        Ok(records) => found.extend(of_records(&records, is_alive)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    Ok(found)
}

fn session_files(folder: &Path) -> io::Result<Vec<String>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    // Beside the files there are pipes, `*.ref`; a session may end while it is read.
    let paths = entries.filter_map(Result::ok).map(|entry| entry.path());
    let files = paths.filter(|path| path.extension().is_none() && path.is_file());
    Ok(files.filter_map(|path| fs::read_to_string(path).ok()).collect())
}

/// The remote address of a session that is not closing.
fn of_session(text: &str) -> Option<IpAddr> {
    let value = |key: &str| {
        text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('=')).map(str::trim)
    };
    let stands = value("REMOTE") == Some("1") && value("STATE") != Some("closing");
    stands
        .then(|| value("REMOTE_HOST"))
        .flatten()?
        .parse::<IpAddr>()
        .ok()
        .map(|one| one.to_canonical())
}

/// The remote addresses of records of processes that live.
fn of_records(records: &[u8], is_alive: impl Fn(u32) -> bool) -> Vec<IpAddr> {
    let of_record = |record: &[u8]| {
        let kind = u16::from_ne_bytes(record[..2].try_into().ok()?);
        let pid = u32::from_ne_bytes(record[PID..PID + 4].try_into().ok()?);
        let octets: [u8; 16] = record[ADDRESS..ADDRESS + 16].try_into().ok()?;
        // An IPv4 address stands in the first of four words.
        let address = match octets.split_first_chunk::<4>()? {
            (v4, rest) if rest.iter().all(|&byte| byte == 0) => IpAddr::from(*v4),
            _ => IpAddr::from(octets),
        };
        let stands = kind == USER_PROCESS && !address.is_unspecified() && is_alive(pid);
        stands.then(|| address.to_canonical())
    };
    records.chunks_exact(RECORD).filter_map(of_record).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(kind: u16, pid: u32, address: &[u8]) -> Vec<u8> {
        let mut record = vec![0; RECORD];
        record[..2].copy_from_slice(&kind.to_ne_bytes());
        record[PID..PID + 4].copy_from_slice(&pid.to_ne_bytes());
        record[ADDRESS..ADDRESS + address.len()].copy_from_slice(address);
        record
    }

    #[test]
    fn who_is_logged_in_is_known_by_records_of_processes_that_live() {
        let v6: IpAddr = "2001:db8::7".parse().unwrap();
        let IpAddr::V6(bits) = v6 else { panic!() };
        let records = [
            record(USER_PROCESS, 10, &[192, 0, 2, 7]),
            record(USER_PROCESS, 10, &bits.octets()),
            // At the console, logged out, and one whose process was killed.
            record(USER_PROCESS, 10, &[]),
            record(8, 10, &[192, 0, 2, 8]),
            record(USER_PROCESS, 11, &[192, 0, 2, 9]),
        ]
        .concat();
        let found = of_records(&records, |pid| pid == 10);
        assert_eq!(found, [IpAddr::from([192, 0, 2, 7]), v6]);
        assert_eq!(of_records(&records[..RECORD - 1], |_| true), [] as [IpAddr; 0]);
    }

    #[test]
    fn a_session_of_logind_tells_its_remote_address_while_it_stands() {
        let session = "# This is private data.\nUID=0\nACTIVE=1\nSTATE=active\nREMOTE=1\n\
                       REMOTE_HOST=192.0.2.7\nLEADER=10\n";
        assert_eq!(of_session(session), Some(IpAddr::from([192, 0, 2, 7])));
        assert_eq!(of_session(&session.replace("active", "closing")), None);
        assert_eq!(of_session(&session.replace("REMOTE=1", "REMOTE=0")), None);
        assert_eq!(of_session(&session.replace("192.0.2.7", "host.example")), None);
    }
}

//! A file system for a guest, as the kernel unpacks it: an archive in cpio's `newc` form.

use std::collections::BTreeSet;
use std::path::Path;

use crate::failure::Failure;
use crate::invoke;
use crate::workspace::Workspace;

/// Programs of busybox that the guest's scripts call, and the tests in it.
const APPLETS: [&str; 28] = [
    "cat",
    "cut",
    "dmesg",
    "echo",
    "find",
    "grep",
    "head",
    "insmod",
    "kill",
    "ls",
    "mkdir",
    "mount",
    "poweroff",
    "rm",
    "sh",
    "sha256sum",
    "sleep",
    "sort",
    "sysctl",
    "tail",
    "timeout",
    "touch",
    "tr",
    "true",
    "umount",
    "uname",
    "wc",
    "xargs",
];

const FOLDER: u32 = 0o040_755;
const PROGRAM: u32 = 0o100_755;
const LINK: u32 = 0o120_777;

/// The archive so far.
#[derive(Default)]
pub(crate) struct Image {
    bytes: Vec<u8>,
    folders: BTreeSet<String>,
    number: u32,
}

impl Image {
    /// Adds a file that anyone may run, and the folders above it.
    pub(crate) fn add(&mut self, path: &str, content: &[u8]) {
        self.add_folders_above(path);
        self.entry(path, PROGRAM, content);
    }

    /// Adds an empty folder, and those above it.
    pub(crate) fn add_folder(&mut self, path: &str) {
        self.add_folders_above(&format!("{path}/"));
    }

    /// Adds busybox, under the name of each of its programs that is called.
    pub(crate) fn add_busybox(&mut self, content: &[u8]) {
        self.add("bin/busybox", content);
        for applet in APPLETS {
            self.entry(&format!("bin/{applet}"), LINK, b"busybox");
        }
    }

    /// Adds a program of this machine, with the libraries that it is linked with.
    pub(crate) fn add_program(
        &mut self,
        workspace: &Workspace,
        name: &str,
        program: &Path,
    ) -> Result<(), Failure> {
        self.add(&format!("bin/{name}"), &read(program)?);
        let listed = invoke::captured(workspace.command("ldd").arg(program)).unwrap_or_default();
        for library in listed.split_whitespace().filter(|word| word.starts_with('/')) {
            let inside = library.trim_start_matches('/');
            if self.folders.insert(format!("library {inside}")) {
                self.add(inside, &read(Path::new(library))?);
            }
        }
        Ok(())
    }

    /// The whole archive.
    pub(crate) fn finish(mut self) -> Vec<u8> {
        self.entry("TRAILER!!!", 0, &[]);
        self.bytes
    }

    fn add_folders_above(&mut self, path: &str) {
        for (end, _) in path.match_indices('/') {
            let folder = &path[..end];
            if self.folders.insert(folder.to_owned()) {
                self.entry(folder, FOLDER, &[]);
            }
        }
    }

    fn entry(&mut self, path: &str, mode: u32, content: &[u8]) {
        self.number += 1;
        let size = u32::try_from(content.len()).unwrap_or(u32::MAX);
        let name_size = u32::try_from(path.len() + 1).unwrap_or(u32::MAX);
        // inode, mode, uid, gid, links, time, size, four numbers of devices, length of the name, sum
        let fields = [self.number, mode, 0, 0, 1, 0, size, 0, 0, 0, 0, name_size, 0];
        self.bytes.extend(b"070701");
        self.bytes.extend(fields.map(|field| format!("{field:08x}")).concat().into_bytes());
        self.bytes.extend(path.as_bytes());
        self.bytes.push(0);
        self.pad();
        self.bytes.extend(content);
        self.pad();
    }

    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }
}

/// A file's content.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    std::fs::read(path).map_err(|error| {
        Failure::new(
            format!("cannot read {}: {error}", path.display()),
            "remove the folder it is in and run this again",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_comes_after_the_folders_that_it_is_in() {
        let mut image = Image::default();
        image.add("a/b/file", b"12345");
        image.add("a/other", b"");
        let bytes = image.finish();
        assert_eq!(bytes.len() % 4, 0);
        let text = String::from_utf8_lossy(&bytes);
        let at = |name: &str| text.find(name).expect(name);
        assert!(at("a\0") < at("a/b\0") && at("a/b\0") < at("a/b/file\0"));
        assert!(at("a/b/file\0") < at("12345") && at("12345") < at("a/other\0"));
        assert_eq!(text.matches("070701").count(), 5);
        assert!(text.trim_end_matches('\0').ends_with("TRAILER!!!"));
    }
}

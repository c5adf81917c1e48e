//! Versions, as programs and files print them.

/// The channel that a `rust-toolchain.toml` pins.
pub(crate) fn channel(toolchain_file: &str) -> Option<&str> {
    toolchain_file
        .lines()
        .find_map(|line| line.trim().strip_prefix("channel")?.trim_start().strip_prefix('='))
        .map(|value| value.split('#').next().unwrap_or_default().trim().trim_matches('"'))
        .filter(|channel| !channel.is_empty())
}

/// The version in a `--version` line: the first word that begins with a digit.
///
/// Prints like `rustc 1.95.0 (59807616e 2026-04-14)` and `bpf-linker 0.10.1` differ in all but
/// this.
pub(crate) fn printed(output: &str) -> Option<&str> {
    output
        .lines()
        .next()?
        .split_whitespace()
        .find(|word| word.starts_with(|first: char| first.is_ascii_digit()))
}

/// True for an `os-release` file of Debian, Ubuntu or a system derived from them.
pub(crate) fn is_debian_like(os_release: &str) -> bool {
    os_release
        .lines()
        .filter_map(|line| line.strip_prefix("ID=").or_else(|| line.strip_prefix("ID_LIKE=")))
        .flat_map(|value| value.trim_matches(['"', '\'']).split_whitespace())
        .any(|id| matches!(id, "debian" | "ubuntu"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_channel_is_read_from_the_toolchain_file() {
        let cases = [
            ("[toolchain]\nchannel = \"1.95.0\"\nprofile = \"minimal\"\n", Some("1.95.0")),
            ("[toolchain]\n  channel=\"1.95.0\" # why\n", Some("1.95.0")),
            ("# channel = \"1.94.0\"\n[toolchain]\nchannel = \"nightly\"", Some("nightly")),
            ("[toolchain]\nchannel = \"\"", None),
            ("[toolchain]\n", None),
        ];
        for (file, expected) in cases {
            assert_eq!(channel(file), expected, "{file}");
        }
    }

    #[test]
    fn the_repository_pins_a_numbered_toolchain() {
        let pinned = channel(include_str!("../../rust-toolchain.toml")).expect("a channel");
        assert_eq!(pinned.split('.').count(), 3, "{pinned}");
    }

    #[test]
    fn a_version_is_found_in_what_programs_print() {
        let cases = [
            ("bpf-linker 0.10.1\n", Some("0.10.1")),
            ("rustc 1.95.0 (59807616e 2026-04-14)", Some("1.95.0")),
            ("rustc 1.97.0-nightly (ec1a2b3c4 2026-05-01)", Some("1.97.0-nightly")),
            ("cargo-nextest 0.9.143 (60fa45f63 2026-08-04)\nrelease: 0.9.143", Some("0.9.143")),
            ("no version here", None),
            ("", None),
        ];
        for (output, expected) in cases {
            assert_eq!(printed(output), expected, "{output}");
        }
    }

    #[test]
    fn debian_and_its_kin_are_told_from_others() {
        let cases = [
            ("ID=debian\n", true),
            ("NAME=\"Ubuntu\"\nID=ubuntu\nID_LIKE=debian\n", true),
            ("ID=linuxmint\nID_LIKE=\"ubuntu debian\"\n", true),
            ("ID=pop\nID_LIKE='ubuntu debian'\n", true),
            ("ID=fedora\nID_LIKE=\"rhel centos\"\n", false),
            ("ID=arch\n# not ID=debian\n", false),
            ("VERSION_ID=debian\n", false),
            ("", false),
        ];
        for (file, expected) in cases {
            assert_eq!(is_debian_like(file), expected, "{file}");
        }
    }
}

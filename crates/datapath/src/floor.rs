//! The oldest kernel that weir is tested on. One that has what it has is as good, so that nothing is
//! refused by its number.

use std::fs;

/// Linux 6.1.
pub(super) const FLOOR: (u8, u8) = (6, 1);

/// The running kernel's release; `None` where it cannot be told.
pub(super) fn release() -> Option<String> {
    Some(fs::read_to_string("/proc/sys/kernel/osrelease").ok()?.trim().to_owned())
}

/// True of a release before [`FLOOR`]; what cannot be read is taken for a new one.
pub(super) fn is_below_floor(release: &str) -> bool {
    let mut numbers = release.split(['.', '-']).map(str::parse);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => (major, minor) < FLOOR,
        _ => false,
    }
}

/// Remedy where the running kernel refuses a program.
pub(super) fn remedy() -> String {
    let (major, minor) = FLOOR;
    match release() {
        Some(release) if is_below_floor(&release) => {
            format!("run Linux {major}.{minor} or newer, this is {release}")
        }
        release => format!(
            "Linux {major}.{minor} and newer take it as far as tested: report it with the output \
             of `weir doctor` on {}",
            release.as_deref().unwrap_or("this kernel")
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kernel_is_compared_by_its_first_two_numbers() {
        assert!(is_below_floor("5.15.0-305.el9") && is_below_floor("6.0.1"));
        assert!(!is_below_floor("6.1.0-50-amd64") && !is_below_floor("7.3.4+deb13"));
        assert!(!is_below_floor("unknown"));
    }
}

//! Reports on a capture: records read, and records lost.

/// Cause for which a record of a capture gave no frame.
///
/// Indexes [`CaptureReport::losses`]. What the parser then finds wrong with a frame is in the
/// window's [`PacketCounters`](flows_common::PacketCounters) instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum CaptureLoss {
    /// The file ends within a record, or within its compressed stream.
    CutFile,
    /// A frame of a pcapng interface whose link type cannot be read.
    LinkType,
    /// The captured bytes end within the link header (Linux cooked, loopback).
    TruncatedLink,
    /// A pcapng packet block of an interface that was never described.
    UnknownInterface,
}

impl CaptureLoss {
    /// Number of causes.
    pub const COUNT: usize = 4;

    /// All causes, in the order of [`CaptureReport::losses`].
    pub const ALL: [Self; Self::COUNT] =
        [Self::CutFile, Self::LinkType, Self::TruncatedLink, Self::UnknownInterface];

    /// The cause's place in [`CaptureReport::losses`].
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }

    /// The cause's name, as metrics and reports spell it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::CutFile => "cut_file",
            Self::LinkType => "link_type",
            Self::TruncatedLink => "truncated_link",
            Self::UnknownInterface => "unknown_interface",
        }
    }
}

/// Counts of a capture's records so far.
///
/// Once a replay's last window was taken, `frames` is what the windows' ledgers count together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CaptureReport {
    /// Frames handed on.
    pub frames: u64,
    /// Bytes of those frames on the wire.
    pub wire_bytes: u64,
    /// Frames of which the capture kept fewer bytes than were on the wire.
    pub snapped: u64,
    /// Records that gave no frame, by [`CaptureLoss`].
    pub losses: [u64; CaptureLoss::COUNT],
    /// Frames without a time of their own (pcapng simple packet blocks): they take the time of
    /// the frame before.
    pub undated: u64,
    /// Frames earlier than the one before them in their file.
    pub backwards: u64,
}

impl CaptureReport {
    /// Records that gave no frame, of any cause.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.losses.iter().sum()
    }

    /// Adds what was read of another capture.
    pub fn add(&mut self, other: &Self) {
        self.frames += other.frames;
        self.wire_bytes += other.wire_bytes;
        self.snapped += other.snapped;
        self.undated += other.undated;
        self.backwards += other.backwards;
        for (sum, one) in self.losses.iter_mut().zip(other.losses) {
            *sum += one;
        }
    }

    pub(super) fn lose(&mut self, loss: CaptureLoss) {
        self.losses[loss.index()] += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cause_stands_at_its_own_index() {
        for (index, loss) in CaptureLoss::ALL.iter().enumerate() {
            assert_eq!(loss.index(), index, "{}", loss.name());
        }
    }
}

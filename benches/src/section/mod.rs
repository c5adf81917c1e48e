//! Sections of the table, one module each.

mod blocklist;
mod drain;
mod drops;
mod guard;
pub mod memory;
mod packet;
mod python;
mod replay;
mod scoring;
mod tables;
mod training;
mod window;

use crate::{measurement::Measurement, report::SectionReport, statistics::timed};

/// Effort for a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effort {
    /// Effort of a number that is quoted.
    Full,
    /// Enough to see that everything runs and where a number lies.
    Quick,
}

impl Effort {
    /// The one of two sizes that fits the effort.
    #[must_use]
    pub const fn of<T: Copy>(self, full: T, quick: T) -> T {
        match self {
            Self::Full => full,
            Self::Quick => quick,
        }
    }
}

/// Measures one section; its error becomes a row that failed.
type Measure = fn(Effort) -> anyhow::Result<Vec<Measurement>>;

/// A part of the table that can be asked for by name.
#[derive(Clone, Copy, Debug)]
pub struct Section {
    /// As `--only` takes it.
    pub name: &'static str,
    /// Description in a line.
    pub about: &'static str,
    measure: Measure,
}

/// All of them, in the table's order.
pub const SECTIONS: [Section; 12] = [
    Section {
        name: "packet",
        about: "accounting one packet in the kernel, known and new flows",
        measure: packet::measure,
    },
    Section {
        name: "tables",
        about: "the flow table in three designs, in time and memory",
        measure: tables::measure,
    },
    Section {
        name: "guard",
        about: "the XDP guard, empty and with 1 M entries, beside xdp-filter",
        measure: guard::measure,
    },
    Section {
        name: "blocklist",
        about: "lists of up to 1 M entries on a veth pair, beside nftables and iptables",
        measure: blocklist::measure,
    },
    Section {
        name: "drops",
        about: "following the kernel's drops, on a veth pair",
        measure: drops::measure,
    },
    Section {
        name: "drain",
        about: "emptying the kernel's tables into a window",
        measure: drain::measure,
    },
    Section {
        name: "scoring",
        about: "rows scored per second, at batch and one by one, beside scikit-learn",
        measure: scoring::measure,
    },
    Section {
        name: "training",
        about: "growing a forest from 1 M rows, beside scikit-learn",
        measure: training::measure,
    },
    Section {
        name: "python",
        about: "the forest through the Python package, beside scikit-learn",
        measure: python::measure,
    },
    Section {
        name: "window",
        about: "one window of 100 k flows, from drained to decided",
        measure: window::measure,
    },
    Section {
        name: "replay",
        about: "packets per second from a capture to feature rows, beside nfstream",
        measure: replay::measure,
    },
    Section {
        name: "memory",
        about: "memory at 65,536 flows, of the process and of the kernel's maps",
        measure: memory::measure,
    },
];

impl Section {
    /// The section of that name.
    #[must_use]
    pub fn by_name(name: &str) -> Option<&'static Self> {
        SECTIONS.iter().find(|section| section.name == name)
    }

    /// Measures it. What fails is a row of the report, so that the other sections are not lost.
    #[must_use]
    pub fn run(&self, effort: Effort) -> SectionReport {
        let (seconds, measured) = timed(|| (self.measure)(effort));
        let measurements = measured
            .unwrap_or_else(|error| vec![Measurement::failed(self.about, format!("{error:#}"))]);
        SectionReport { section: self.name, seconds, measurements }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_section_is_found_by_its_own_name() {
        for section in SECTIONS {
            assert_eq!(Section::by_name(section.name).map(|found| found.name), Some(section.name));
        }
        assert!(Section::by_name("nothing").is_none());
    }

    #[test]
    fn a_section_that_fails_is_a_row_of_its_own() {
        let section = Section { name: "x", about: "what", measure: |_| anyhow::bail!("broken") };
        let report = section.run(Effort::Quick);
        assert_eq!(report.measurements, [Measurement::failed("what", "broken")]);
    }
}

//! The answer: causes with their counts, as JSON and in words.

use std::{fmt::Write as _, time::Duration};

use control::wire::Block;
use events::word_set;
use report::text::{count, counted, plain};
use serde::Serialize;

word_set! {
    /// A cause for which packets do not reach whom they are for, or are late.
    Cause {
        /// A block of weir's.
        Block = "block",
        /// A rate that weir holds a source to.
        RateLimit = "rate-limit",
        /// A rate that weir leaves to the strangers of a service together.
        ServiceLimit = "service-limit",
        /// The kernel, for a reason of its own.
        Kernel = "kernel",
        /// They are for another host, and this one passes nothing on.
        NotForwarded = "not-forwarded",
        /// A listener with a full queue.
        ListenOverflow = "listen-overflow",
        /// A UDP socket with a full buffer.
        ReceiveBuffer = "receive-buffer",
        /// Segments of this host's that had to be sent again.
        Retransmitted = "retransmitted",
        /// A peer that takes nothing more.
        ZeroWindow = "zero-window",
        /// Nothing comes back.
        Unanswered = "unanswered",
        /// No packet of it was there at all.
        NeverArrived = "never-arrived",
    }
}

impl Cause {
    /// True of a deed of weir's own.
    #[must_use]
    pub const fn is_weir(self) -> bool {
        matches!(self, Self::Block | Self::RateLimit | Self::ServiceLimit)
    }
}

/// A cause that was found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Finding {
    /// The cause.
    pub cause: Cause,
    /// The kernel's own name of its reason.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Packets that it cost in the time asked; none where they are not counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub packets: Option<u64>,
    /// Their bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// What happened, in a sentence.
    pub what: String,
    /// What to do or to look at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub look: Option<String>,
    /// Flows that it met, a few of them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub flows: Vec<String>,
    /// weir's block, with its story.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub block: Option<Block>,
}

impl Finding {
    /// The kernel's name of it where it is the kernel's alone, else the cause.
    #[must_use]
    pub fn name(&self) -> &str {
        let reason = self.reason.as_deref().filter(|_| self.cause == Cause::Kernel);
        reason.unwrap_or_else(|| self.cause.name())
    }

    pub(crate) const fn of(cause: Cause, what: String) -> Self {
        Self {
            cause,
            reason: None,
            packets: None,
            bytes: None,
            what,
            look: None,
            flows: Vec::new(),
            block: None,
        }
    }
}

/// Packets of the question that were seen in the time asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Seen {
    /// Those that came up from an interface.
    pub arrived: u64,
    /// Those that were handed to an interface.
    pub left: u64,
    /// Those that ended in the kernel, by weir's doing too where they were packets of it by then.
    pub dropped: u64,
}

/// The answer.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Answer {
    /// The question as it was asked.
    pub question: String,
    /// Seconds that it was looked for.
    pub seconds: f64,
    /// In one sentence, whether it was weir, and what else it was.
    pub verdict: String,
    /// Packets that were seen; none where the kernel could not be followed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seen: Option<Seen>,
    /// Causes, weir's own first.
    pub findings: Vec<Finding>,
    /// What else weir holds about it: blocks that met no packet, what is allowed.
    pub standing: Vec<String>,
    /// What could not be looked at, and why; empty where all was.
    pub not_seen: Vec<String>,
}

impl Answer {
    pub(crate) fn judge(&mut self) {
        let weir: Vec<&Finding> = self.findings.iter().filter(|one| one.cause.is_weir()).collect();
        let others: Vec<&Finding> =
            self.findings.iter().filter(|one| !one.cause.is_weir()).collect();
        let names =
            |all: &[&Finding]| all.iter().map(|one| one.name()).collect::<Vec<_>>().join(", ");
        let sum: u64 = weir.iter().filter_map(|one| one.packets).sum();
        self.verdict = match (weir.is_empty(), others.is_empty()) {
            (false, true) => format!("weir: {} dropped ({})", counted(sum, "packet"), names(&weir)),
            (false, false) => format!(
                "weir: {} dropped ({}); and besides: {}",
                counted(sum, "packet"),
                names(&weir),
                names(&others)
            ),
            (true, false) => format!("not weir: {}", names(&others)),
            (true, true) if self.not_seen.is_empty() => {
                "not weir, and nothing else was lost: packets came and none was dropped".to_owned()
            }
            (true, true) => "nothing was found, but not all could be looked at".to_owned(),
        };
    }

    /// In words.
    #[must_use]
    pub fn text(&self) -> String {
        let length = Duration::from_secs_f64(self.seconds.max(0.0));
        let mut text = format!(
            "{}\n{}, looked at for {:.1} s",
            self.verdict,
            plain(&self.question),
            length.as_secs_f64()
        );
        // Writing to a string does not fail.
        if let Some(seen) = &self.seen {
            let _ = write!(
                text,
                ": {} came in, {} went out, {} dropped",
                count(seen.arrived),
                count(seen.left),
                count(seen.dropped)
            );
        }
        text.push('\n');
        for finding in &self.findings {
            let name = finding.name();
            let packets =
                finding.packets.map(|packets| format!(", {}", counted(packets, "packet")));
            let _ = write!(
                text,
                "\n{name}{}\n    {}\n",
                packets.unwrap_or_default(),
                plain(&finding.what)
            );
            for flow in &finding.flows {
                let _ = writeln!(text, "    {flow}");
            }
            if let Some(look) = &finding.look {
                let _ = writeln!(text, "    -> {}", plain(look));
            }
        }
        for (head, lines) in
            [("standing", &self.standing), ("could not be looked at", &self.not_seen)]
        {
            if !lines.is_empty() {
                let _ = write!(text, "\n{head}\n");
                for line in lines {
                    let _ = writeln!(text, "    {}", plain(line));
                }
            }
        }
        text
    }
}

//! Facts that an input does not contain, and notes on reading the numbers.

use serde::Serialize;

use super::report::Source;

/// Something that the input does not tell.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Absent {
    /// Missing fact.
    pub what: &'static str,
    /// Reason and consequence.
    pub why: &'static str,
}

/// Entry for a record whose last blocks did not expire in it.
pub(super) const NOT_COUNTED: (&str, &str) = (
    "what some of the blocks counted",
    "their counters are told when they expire, and they did not within the record, or were never \
     made (observe mode): `weir blocks` shows those that stand",
);

/// Facts that the input does not contain.
pub(super) fn of(source: Source, has_truth: bool) -> Vec<Absent> {
    let mut absent = Vec::new();
    let mut say = |what, why| absent.push(Absent { what, why });
    if !has_truth {
        say(
            "attack and benign",
            "no truth was given (--truth, or tables labelled by `weir label`), so that nobody \
             knows which blocks are right: what is stopped is told as one",
        );
    }
    if source != Source::NodeRecord {
        say(
            "the host's own addresses, gateways, name servers and administrators",
            "neither captures nor tables tell of them: the guards that spare them never refuse \
             here; name them in `policy.allow`",
        );
    }
    if source != Source::NodeRecord {
        say(
            "suspension",
            "neither captures nor tables tell whether the machine slept: only a window that is far \
             too long is taken for one in which it did",
        );
    }
    if source != Source::NodeRecord {
        say(
            "log-ins that are tried again and again",
            "tables do not tell of them, so that captures are read without them too: who would be \
             acted on for those alone is missing here",
        );
    }
    if source == Source::Tables {
        say(
            "records of a capture that could not be read",
            "they are in no window, and tables do not count them; an experiment on the capture does",
        );
    }
    if source == Source::NodeRecord {
        say(
            "what attacks and benign peers sent in all",
            "a node's record tells what its entries counted, and not what others sent: there are \
             no shares",
        );
        say(
            "what a rate limit would have passed",
            "a shadow entry counts every packet: what a rate limit would have let through is in \
             its would-drops",
        );
        say(
            "limits on services, and what the breaker did",
            "this report reads decisions on peers and the counters of their entries",
        );
        say("other settings", "a record is of the one setting that ran");
    }
    absent
}

/// Notes on reading the numbers.
pub(super) fn caveats(source: Source) -> Vec<String> {
    let mut caveats = Vec::new();
    if source == Source::NodeRecord {
        caveats.push(
            "What was stopped is what the kernel counted: packets that met an entry, from the \
             moment it was in the kernel until it expired, both ways. Dropped packets of an \
             enforcing node are in it too."
                .to_owned(),
        );
        caveats.push(
            "A dropped packet is often followed by fewer, a passed one in shadow mode is not: an \
             enforcing node would have counted less of a source that gives up."
                .to_owned(),
        );
        return caveats;
    }
    caveats.push(
        "Every setting is reckoned as if it enforced, whatever `policy.mode` is. The traffic is \
         what was recorded (open loop): nobody retries, gives up or goes elsewhere because of a \
         block. While a peer's block stands, its windows are withheld from the policy, as a node \
         would not have measured them; other peers' features stay as they were."
            .to_owned(),
    );
    caveats.push(
        "A block stops what its peer sends and is sent in windows that begin at or after the \
         decision, until it expires; of a window in which it expires, the part before, taking \
         packets as spread evenly. A rate limit passes `rate_limit_pps` and a burst of two \
         seconds' worth, in the kernel's own arithmetic on evenly spread packets."
            .to_owned(),
    );
    caveats.push(
        "A limit on a service stops what its unproven sources send and are sent above it; they \
         stay visible to the policy, as what passes the limit would be."
            .to_owned(),
    );
    caveats.push(
        "A decision falls at its window's end, and is in the kernel some milliseconds later, \
         which is not reckoned. All packets of an attacker in a window that the attack overlaps \
         are taken for the attack's."
            .to_owned(),
    );
    caveats
}

//! `aya::Pod` for the types that cross the kernel boundary.

use crate::{
    BlockEntry, BlockStats, Control, FlowCounters, FlowKey, GuardControl, GuardCounters,
    PacketCounters, PeerCounters, PeerKey, PrefixKey, ServiceEntry, ServiceKey, Settings,
    TraceCounters, TraceKey, TraceLedger, TraceSettings, VerifiedPeer,
};

macro_rules! pod {
    ($($type:ty),+ $(,)?) => {
        $(
            // SAFETY: `repr(C)`, integers and arrays of integers only, no implicit padding (the
            // sizes are asserted beside each type), so any bytes are a value and a value is bytes.
            unsafe impl aya::Pod for $type {}
        )+
    };
}

pod!(
    BlockEntry,
    BlockStats,
    Control,
    FlowCounters,
    FlowKey,
    GuardControl,
    GuardCounters,
    VerifiedPeer,
    PacketCounters,
    PeerCounters,
    PeerKey,
    PrefixKey,
    ServiceEntry,
    ServiceKey,
    Settings,
    TraceCounters,
    TraceKey,
    TraceLedger,
    TraceSettings,
);

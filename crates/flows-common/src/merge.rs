//! Joining what several CPUs counted of one flow or one peer.

use crate::{BITMAP_WORDS, DirectionCounters, FlowCounters, PeerCounters};

impl FlowCounters {
    /// Adds what another CPU counted of the same flow in the same window.
    ///
    /// Counts, sums, minima and maxima are exact. Inter-arrival statistics are exact where each
    /// direction stayed on one CPU or moved between them (the usual case: RSS and XPS keep a
    /// direction together); where CPUs took turns within a direction, `iat_sum_us` and
    /// `iat_sum_sq` are of each CPU's own packets and so at most larger than the truth.
    pub fn merge(&mut self, other: &Self) {
        let other_is_earlier = first_ns(other) < first_ns(self);
        for (sum, one) in self.directions.iter_mut().zip(&other.directions) {
            sum.merge(one);
        }
        if other_is_earlier {
            self.first_direction = other.first_direction;
        }
        // As one CPU would have told it: by the first SYN, else by the first SYN-ACK.
        let (own, its) = if self.syn_ns | other.syn_ns == 0 {
            (self.syn_ack_ns, other.syn_ack_ns)
        } else {
            (self.syn_ns, other.syn_ns)
        };
        self.initiator = match (own, its) {
            (0, 0) => self.first_direction,
            (own, its) if is_earlier(its, own) => other.initiator,
            _ => self.initiator,
        };
        self.syn_ns = earliest(self.syn_ns, other.syn_ns);
        self.syn_ack_ns = earliest(self.syn_ack_ns, other.syn_ack_ns);
    }
}

impl DirectionCounters {
    fn merge(&mut self, other: &Self) {
        if other.packets == 0 {
            return;
        }
        if self.packets == 0 {
            *self = *other;
            return;
        }
        let (earlier, later) =
            if other.first_ns < self.first_ns { (*other, *self) } else { (*self, *other) };
        let mut sum = earlier;
        if later.first_ns >= earlier.last_ns {
            sum.count_gap(later.first_ns - earlier.last_ns);
        }
        add(&mut sum.packets, later.packets);
        add(&mut sum.bytes, later.bytes);
        add(&mut sum.payload_bytes, later.payload_bytes);
        add(&mut sum.length_sum_sq, later.length_sum_sq);
        add(&mut sum.iat_sum_us, later.iat_sum_us);
        add(&mut sum.iat_sum_sq, later.iat_sum_sq);
        sum.last_ns = earlier.last_ns.max(later.last_ns);
        sum.length_min = earlier.length_min.min(later.length_min);
        sum.length_max = earlier.length_max.max(later.length_max);
        sum.iat_min_us = sum.iat_min_us.min(later.iat_min_us);
        sum.iat_max_us = sum.iat_max_us.max(later.iat_max_us);
        for (total, one) in sum.length_histogram.iter_mut().zip(later.length_histogram) {
            *total = total.saturating_add(one);
        }
        for (total, one) in sum.flags.iter_mut().zip(later.flags) {
            *total = total.saturating_add(one);
        }
        if later.last_ns >= earlier.last_ns {
            sum.next_seq = later.next_seq;
            sum.icmp_type = later.icmp_type;
            sum.icmp_code = later.icmp_code;
        }
        sum.zero_windows = sum.zero_windows.saturating_add(later.zero_windows);
        sum.retransmissions = sum.retransmissions.saturating_add(later.retransmissions);
        sum.out_of_order = sum.out_of_order.saturating_add(later.out_of_order);
        sum.fragments = sum.fragments.saturating_add(later.fragments);
        sum.icmp_errors = sum.icmp_errors.saturating_add(later.icmp_errors);
        sum.window_min = earlier.window_min.min(later.window_min);
        sum.ttl_min = earlier.ttl_min.min(later.ttl_min);
        sum.ttl_max = earlier.ttl_max.max(later.ttl_max);
        *self = sum;
    }

    /// Counts the time between one CPU's last packet and the next CPU's first.
    fn count_gap(&mut self, gap_ns: u64) {
        let apart = u32::try_from(gap_ns / 1_000).unwrap_or(u32::MAX);
        self.iat_min_us = self.iat_min_us.min(apart);
        self.iat_max_us = self.iat_max_us.max(apart);
        add(&mut self.iat_sum_us, u64::from(apart));
        add(&mut self.iat_sum_sq, u64::from(apart) * u64::from(apart));
    }
}

impl PeerCounters {
    /// Adds what another CPU noted of the same peer in the same window.
    pub fn merge(&mut self, other: &Self) {
        for way in 0..2 {
            add(&mut self.flow_inserts[way], other.flow_inserts[way]);
            add(&mut self.syns[way], other.syns[way]);
            add(&mut self.syn_acks[way], other.syn_acks[way]);
            add(&mut self.resets[way], other.resets[way]);
        }
        self.first_ns = earliest(self.first_ns, other.first_ns);
        self.last_ns = self.last_ns.max(other.last_ns);
        for word in 0..BITMAP_WORDS {
            self.local_ports[word] |= other.local_ports[word];
        }
        self.local_hosts |= other.local_hosts;
    }
}

/// Time of a flow's first packet in either direction.
fn first_ns(flow: &FlowCounters) -> u64 {
    let of = |way: usize| {
        let one = &flow.directions[way];
        if one.packets == 0 { u64::MAX } else { one.first_ns }
    };
    of(0).min(of(1))
}

/// The earlier of two times of which 0 means never.
fn earliest(one: u64, other: u64) -> u64 {
    if is_earlier(other, one) { other } else { one }
}

/// True if `one` lies before `other`, of which 0 means never.
fn is_earlier(one: u64, other: u64) -> bool {
    one != 0 && (other == 0 || one < other)
}

fn add(sum: &mut u64, one: u64) {
    *sum = sum.saturating_add(one);
}

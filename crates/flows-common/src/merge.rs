//! Joining what several CPUs counted of one flow or one peer.

use crate::{BITMAP_WORDS, Direction, DirectionCounters, Fact, FlowCounters, PeerCounters};

const IN: usize = Direction::Ingress.index();

impl FlowCounters {
    /// Adds what another CPU counted of the same flow in the same window.
    ///
    /// Counts, sums, minima and maxima are exact. Inter-arrival statistics and openings are exact
    /// where each direction stayed on one CPU or moved between them (the usual case: RSS and XPS
    /// keep a direction together); where CPUs took turns within a direction, `iat_sum_us` and
    /// `iat_sum_sq` are of each CPU's own packets and so at most larger than the truth, and so are
    /// `openings` and `syn_acks` where a repeated number came between others. A SYN repeated after
    /// an RST that only another CPU saw counts as a retransmission. A handshake whose halves two
    /// CPUs saw is completed here.
    pub fn merge(&mut self, other: &Self) {
        let initiated = self.is_initiated_with(other);
        let other_is_earlier = match (self.first_ns(), other.first_ns()) {
            (Some(own), Some(its)) => its < own,
            (own, _) => own.is_none(),
        };
        if other_is_earlier {
            self.first_direction = other.first_direction;
        }
        let ends = |one: &Self, other: &Self| {
            one.awaited().is_some() && one.awaited() == other.first_acknowledged()
        };
        let completed = ends(self, other) || ends(other, self);
        let acknowledges_from =
            |one: &Self| one.first_acknowledged().map(|_| one.directions[IN].first_ns);
        let its_ack_is_earlier = match [acknowledges_from(self), acknowledges_from(other)] {
            [Some(own), Some(its)] => its < own,
            [own, _] => own.is_none(),
        };
        if its_ack_is_earlier {
            self.acknowledged = other.acknowledged;
        }
        for way in 0..2 {
            self.merge_openings(other, way);
        }
        for (sum, one) in self.directions.iter_mut().zip(&other.directions) {
            sum.merge(one);
        }
        self.accepted = self.accepted.saturating_add(other.accepted);
        self.facts = (self.facts | other.facts) & !Fact::Initiated.bit();
        self.memory |= other.memory;
        if initiated {
            self.facts |= Fact::Initiated.bit();
        }
        if completed {
            self.complete();
        }
    }

    /// Whether this host asked first, told by both: by the first opening, else by the first packet.
    fn is_initiated_with(&self, other: &Self) -> bool {
        let first_syn = |sender| match (self.first_syn_ns(sender), other.first_syn_ns(sender)) {
            (Some(own), Some(its)) => Some(own.min(its)),
            (own, its) => own.or(its),
        };
        match Direction::ALL.map(first_syn) {
            [Some(remote), Some(host)] => host < remote,
            [None, None] => {
                let first = match (self.first_ns(), other.first_ns()) {
                    (Some(own), Some(its)) if its < own => other,
                    (None, Some(_)) => other,
                    _ => self,
                };
                first.has(Fact::Initiated)
            }
            [remote, _] => remote.is_none(),
        }
    }

    /// Joins the openings and the SYN-ACKs that one side sent. The last of one CPU's may be the
    /// first of the other's, repeated.
    fn merge_openings(&mut self, other: &Self, way: usize) {
        join_numbered(
            (&mut self.openings[way], &mut self.syn_isn[way], &mut self.syn_ns[way]),
            (other.openings[way], other.syn_isn[way], other.syn_ns[way]),
        );
        join_numbered(
            (&mut self.syn_acks[way], &mut self.syn_ack_isn[way], &mut self.syn_ack_ns[way]),
            (other.syn_acks[way], other.syn_ack_isn[way], other.syn_ack_ns[way]),
        );
    }
}

/// Joins counts of numbered segments: how many, the last one's number, the first one's time.
fn join_numbered(
    (count, number, first_ns): (&mut u32, &mut u32, &mut u64),
    (its_count, its_number, its_first_ns): (u32, u32, u64),
) {
    if its_count == 0 {
        return;
    }
    if *count == 0 {
        (*count, *number, *first_ns) = (its_count, its_number, its_first_ns);
        return;
    }
    let repeated = u32::from(*number == its_number);
    *count = count.saturating_add(its_count - repeated);
    if its_first_ns < *first_ns {
        *first_ns = its_first_ns;
    } else {
        *number = its_number;
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
        self.first_ns = match (self.first_note_ns(), other.first_note_ns()) {
            (Some(own), Some(its)) => own.min(its),
            (own, its) => own.or(its).unwrap_or(0),
        };
        add(&mut self.notes, other.notes);
        self.last_ns = self.last_ns.max(other.last_ns);
        for word in 0..BITMAP_WORDS {
            self.local_ports[word] |= other.local_ports[word];
        }
        self.local_hosts |= other.local_hosts;
    }
}

fn add(sum: &mut u64, one: u64) {
    *sum = sum.saturating_add(one);
}

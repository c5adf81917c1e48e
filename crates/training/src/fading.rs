//! Rows that fade: a sample of a stream without an end, whose rows live for a time each.

use std::collections::{BTreeSet, HashMap};
use std::net::{IpAddr, Ipv6Addr};

use forest::Draws;

use crate::sampled_rows::SampledRows;

/// Part of the rows that those of one remote or network may make up, unless there are few: below the
/// twentieth from which a [tail](conformal::Tail) goes on, so that none alone moves where it begins.
const SHARE_OF_ONE: f64 = 1.0 / 32.0;

/// Where there are few, what each may have: so many times its even share.
const EVEN_SHARES: f64 = 2.0;

/// Networks that must do what stands out as often for it to be learnt: so many, or one in so many
/// where that is more. It is neither one remote's word nor that of two who know each other.
const SUPPORT: usize = 3;
const SUPPORT_OF: usize = 16;

/// A sample of rows of one width that forgets with a half-life.
///
/// Each row is given its lifetime when it comes, by an exponential draw. Kept are those whose time
/// is not over, and of more than the capacity those that live longest. A lifetime has no memory, so
/// that these are a uniform sample of rows that count half as much after each half-life, whenever
/// they are looked at.
///
/// Rows have owners, remotes of which one alone or one network (a /24, or a /64) must not make up
/// what is usual; rows of this host's own side have none.
#[derive(Clone, Debug)]
pub(crate) struct FadingRows {
    width: usize,
    capacity: usize,
    half_life_ns: f64,
    draws: Draws,
    kept: Vec<Kept>,
    values: Vec<f32>,
}

/// When a row came and whose it is, and when it fades.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kept {
    pub(crate) owner: Option<IpAddr>,
    pub(crate) at_ns: u64,
    pub(crate) until_ns: u64,
}

impl FadingRows {
    pub(crate) fn new(width: usize, capacity: usize, half_life_ns: u64, draws: Draws) -> Self {
        let half_life_ns = half_life_ns.max(1) as f64;
        Self { width, capacity, half_life_ns, draws, kept: Vec::new(), values: Vec::new() }
    }

    pub(crate) fn take(&mut self, owner: Option<IpAddr>, at_ns: u64, row: &[f32]) {
        let half_lives = -(1.0 - self.draws.unit()).log2();
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a draw from 0 to 53 half-lives; beyond u64 it saturates"
        )]
        let until_ns = at_ns.saturating_add((half_lives * self.half_life_ns) as u64);
        self.put(Kept { owner, at_ns, until_ns }, row);
    }

    fn put(&mut self, kept: Kept, row: &[f32]) {
        self.kept.push(kept);
        self.values.extend_from_slice(&row[..self.width]);
        // Twice the capacity, so that sorting is shared by as many rows.
        if self.kept.len() >= 2 * self.capacity {
            self.thin(kept.at_ns);
        }
    }

    /// Takes a row as another kept it; none where it is no row of this width.
    pub(crate) fn put_back(&mut self, kept: Kept, row: impl Iterator<Item = f32>) -> Option<()> {
        let row: Vec<f32> = row.collect();
        let is_whole = row.len() == self.width && row.iter().all(|value| value.is_finite());
        is_whole.then(|| {
            self.kept.push(kept);
            self.values.extend(row);
        })
    }

    /// Drops what has faded, and what is too much by the latest rows.
    pub(crate) fn thin(&mut self, now_ns: u64) {
        let mut of_network: HashMap<IpAddr, usize> = HashMap::new();
        // No knowledge of the others is needed for it: more than this it may never have.
        let most = (self.capacity / 2).max(1);
        let mut stays = vec![false; self.kept.len()];
        let mut left = self.capacity;
        for at in self.latest_first() {
            let Kept { owner, until_ns, .. } = self.kept[at];
            if left == 0 || until_ns <= now_ns {
                break;
            }
            if let Some(owner) = owner {
                let count = of_network.entry(network(owner)).or_default();
                if *count == most {
                    continue;
                }
                *count += 1;
            }
            stays[at] = true;
            left -= 1;
        }
        self.retain(|at, _| stays[at]);
    }

    /// Hands what came from these owners since then over to others.
    pub(crate) fn hand_over(&mut self, owners: &BTreeSet<IpAddr>, since_ns: u64, to: &mut Self) {
        let is_theirs = |kept: &Kept| {
            kept.at_ns >= since_ns && kept.owner.is_some_and(|owner| owners.contains(&owner))
        };
        for (kept, row) in self.rows().filter(|(kept, _)| is_theirs(kept)) {
            to.put(*kept, row);
        }
        self.retain(|_, kept| !is_theirs(kept));
    }

    /// Forgets what came since then.
    pub(crate) fn forget_since(&mut self, since_ns: u64) {
        self.retain(|_, kept| kept.at_ns < since_ns);
    }

    /// Forgets what has no owner and came since then.
    pub(crate) fn forget_own(&mut self, since_ns: u64) {
        self.retain(|_, kept| kept.owner.is_some() || kept.at_ns < since_ns);
    }

    /// Takes the rows of an owner over from others, as if they had come then.
    pub(crate) fn take_over(&mut self, others: &mut Self, owner: IpAddr, at_ns: u64) {
        for (_, row) in others.rows().filter(|(kept, _)| kept.owner == Some(owner)) {
            self.take(Some(owner), at_ns, row);
        }
        others.retain(|_, kept| kept.owner != Some(owner));
    }

    pub(crate) fn len(&self) -> usize {
        self.kept.len()
    }

    /// Rows from then on, with their owners.
    pub(crate) fn since(&self, since_ns: u64) -> impl Iterator<Item = (Option<IpAddr>, &[f32])> {
        self.rows()
            .filter(move |(kept, _)| kept.at_ns >= since_ns)
            .map(|(kept, row)| (kept.owner, row))
    }

    /// The rows that came before `until_ns` and have not faded, in the order of time, and of no remote
    /// and no network more than its share; numbered as if so many came with a window.
    ///
    /// `odd` tells which of some rows, given with their owners, stand out. Of those no network has more
    /// than others have too: see [`SUPPORT`].
    pub(crate) fn settled(
        &self,
        until_ns: u64,
        now_ns: u64,
        per_window: f64,
        odd: impl FnOnce(&[Option<IpAddr>], &[f32]) -> Vec<bool>,
    ) -> SampledRows {
        let is_old = |at: &usize| {
            let Kept { at_ns, until_ns: fades_ns, .. } = self.kept[*at];
            at_ns < until_ns && fades_ns > now_ns
        };
        let old: Vec<usize> = self.latest_first().into_iter().filter(is_old).collect();
        let owners: Vec<_> = old.iter().map(|&at| self.kept[at].owner).collect();
        let values: Vec<f32> = old.iter().flat_map(|&at| self.row(at)).copied().collect();
        let supported = self.supported(old, &odd(&owners, &values));
        let by_remote = self.shared(supported, |remote| remote);
        let mut chosen = self.shared(by_remote, network);
        chosen.sort_by_key(|&at| (self.kept[at].at_ns, at));
        let mut rows = SampledRows::new(self.width);
        for (number, at) in chosen.into_iter().enumerate() {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a row's number, divided by at least 1"
            )]
            let window = (number as f64 / per_window.max(1.0)) as u64;
            rows.extend(window, self.row(at));
        }
        rows
    }

    /// Of these rows those that stay when of the odd ones no network has more than so many others have
    /// at least.
    fn supported(&self, rows: Vec<usize>, odd: &[bool]) -> Vec<usize> {
        let of = |at: usize| self.kept[at].owner.map(network);
        let mut counts: HashMap<IpAddr, usize> = HashMap::new();
        for (&at, &odd) in rows.iter().zip(odd) {
            if let Some(network) = of(at) {
                *counts.entry(network).or_default() += usize::from(odd);
            }
        }
        let support = SUPPORT.max(counts.len() / SUPPORT_OF);
        let mut falling: Vec<usize> = counts.values().copied().collect();
        falling.sort_unstable_by_key(|&count| std::cmp::Reverse(count));
        let most = falling.get(support - 1).copied().unwrap_or(0);
        for count in counts.values_mut() {
            *count = most;
        }
        let stays = |(at, odd): (usize, &bool)| {
            let Some(network) = of(at).filter(|_| *odd) else { return Some(at) };
            let left = counts.get_mut(&network)?;
            *left = left.checked_sub(1)?;
            Some(at)
        };
        rows.into_iter().zip(odd).filter_map(stays).collect()
    }

    /// Of these rows those that stay when each group of owners keeps to its share.
    fn shared(&self, rows: Vec<usize>, group: fn(IpAddr) -> IpAddr) -> Vec<usize> {
        let of = |at: usize| self.kept[at].owner.map(group);
        let mut counts: HashMap<IpAddr, usize> = HashMap::new();
        for group in rows.iter().filter_map(|&at| of(at)) {
            *counts.entry(group).or_default() += 1;
        }
        let among = counts.len();
        for count in counts.values_mut() {
            *count = share_of_one(*count, rows.len() - *count, among);
        }
        let stays = |at: &usize| {
            let Some(left) = of(*at).and_then(|group| counts.get_mut(&group)) else { return true };
            let stays = *left > 0;
            *left = left.saturating_sub(1);
            stays
        };
        rows.into_iter().filter(stays).collect()
    }

    fn latest_first(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.kept.len()).collect();
        order.sort_by_key(|&at| std::cmp::Reverse(self.kept[at].until_ns));
        order
    }

    fn row(&self, at: usize) -> &[f32] {
        &self.values[at * self.width..][..self.width]
    }

    /// The rows, in the order in which they came.
    pub(crate) fn rows(&self) -> impl Iterator<Item = (&Kept, &[f32])> {
        self.kept.iter().zip(self.values.chunks_exact(self.width))
    }

    fn retain(&mut self, stays: impl Fn(usize, &Kept) -> bool) {
        let mut to = 0;
        for from in 0..self.kept.len() {
            if stays(from, &self.kept[from]) {
                self.kept[to] = self.kept[from];
                self.values
                    .copy_within(from * self.width..(from + 1) * self.width, to * self.width);
                to += 1;
            }
        }
        self.kept.truncate(to);
        self.values.truncate(to * self.width);
    }
}

/// The network of a remote: its /24, or its /64.
pub(crate) fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(v4) => IpAddr::V4((v4.to_bits() & !0xff).into()),
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64)),
    }
}

/// Rows that one of so many may have, of those that it has beside all others': its share of what is
/// left then.
fn share_of_one(its: usize, others: usize, among: usize) -> usize {
    let share = SHARE_OF_ONE.max(EVEN_SHARES / among.max(1) as f64);
    if share >= 1.0 {
        return its;
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a part of a count"
    )]
    let most = (share / (1.0 - share) * others as f64) as usize;
    its.min(most.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: u64 = 3_600_000_000_000;

    fn rows(capacity: usize) -> FadingRows {
        FadingRows::new(1, capacity, HOUR, Draws::new(7, 0))
    }

    fn remote(network: u16, host: u8) -> IpAddr {
        let [high, low] = network.to_be_bytes();
        IpAddr::from([198, high, low, host])
    }

    #[test]
    fn half_of_the_rows_are_forgotten_after_each_half_life() {
        let mut sample = rows(100_000);
        for at in 0..40_000_u16 {
            sample.take(Some(remote(at, 1)), 0, &[0.0]);
        }
        for (half_lives, expected) in [(1, 20_000), (2, 10_000), (5, 1_250)] {
            sample.thin(half_lives * HOUR);
            let kept = sample.len();
            // Five standard deviations of the first.
            assert!(kept.abs_diff(expected) < 500, "{kept} after {half_lives}");
        }
    }

    #[test]
    fn of_a_long_stream_the_kept_ones_are_as_many_of_each_age_as_their_half_life_says() {
        let mut sample = rows(2_000);
        // 64 half-lives, a thousand rows each, of as many networks.
        for at in 0..64_000_u32 {
            let owner = remote(u16::try_from(at % 1_000).unwrap(), 1);
            sample.take(Some(owner), u64::from(at) * HOUR / 1_000, &[0.0]);
        }
        let now_ns = 64 * HOUR;
        sample.thin(now_ns);
        let newer = |ns: u64| sample.since(now_ns - ns).count() as f64;
        let all = sample.len() as f64;
        // A thousand rows a half-life leave 1,443 alive.
        assert!((all - 1_443.0).abs() < 150.0, "{all}");
        for (half_lives, share) in [(1, 0.5), (2, 0.75), (3, 0.875)] {
            let found = newer(half_lives * HOUR) / all;
            assert!((found - share).abs() < 0.05, "{found} within {half_lives}");
        }
    }

    #[test]
    fn a_network_keeps_to_its_share_however_much_it_sends() {
        let mut sample = rows(4_096);
        for round in 0..50_u64 {
            for network in 0..80 {
                sample.take(Some(remote(network, 1)), round, &[0.0]);
            }
            for host in 0..200 {
                sample.take(Some(remote(999, host)), round, &[1.0]);
            }
        }
        let settled = sample.settled(u64::MAX, 100, 10.0, |owners, _| vec![false; owners.len()]);
        let values = settled.clone().into_values();
        let its = values.iter().filter(|value| **value > 0.5).count();
        assert!(its * 32 <= values.len(), "{its} of {}", values.len());
        assert!(sample.len() <= 2 * 4_096);
    }

    #[test]
    fn what_stands_out_is_learnt_as_often_as_the_third_network_does_it() {
        let mut sample = rows(4_096);
        // So many odd rows each of four networks, and one that is none of each of twenty.
        for (network, odd) in [(900, 500), (901, 40), (902, 7), (903, 2)] {
            for at in 0..odd {
                sample.take(Some(remote(network, 1)), at, &[1.0]);
            }
        }
        for network in 0..20 {
            sample.take(Some(remote(network, 1)), 0, &[0.0]);
        }
        let learnt = |sample: &FadingRows| {
            let odd = |_: &[_], rows: &[f32]| rows.iter().map(|value| *value > 0.5).collect();
            let all: Vec<usize> = (0..sample.kept.len()).collect();
            let flags: Vec<bool> = odd(&[] as &[Option<IpAddr>], &sample.values);
            let stay = sample.supported(all, &flags);
            stay.iter().filter(|&&at| sample.row(at)[0] > 0.5).count()
        };
        assert_eq!(learnt(&sample), 3 * 7 + 2);
        // Of many networks one in sixteen has to: of 24 and 40 more the fourth.
        for network in 100..140 {
            sample.take(Some(remote(network, 1)), 0, &[0.0]);
        }
        assert_eq!(learnt(&sample), 4 * 2);
    }

    #[test]
    fn of_few_networks_none_is_cut_below_its_even_share() {
        assert_eq!([(500, 0, 1), (500, 20, 2)].map(|(a, b, c)| share_of_one(a, b, c)), [500; 2]);
        assert_eq!(share_of_one(900, 90, 4), 90);
        assert_eq!(share_of_one(10, 630, 64), 10);
        assert_eq!(share_of_one(10_000, 990, 100), 31);
    }

    #[test]
    fn what_an_owner_is_belied_of_is_forgotten_and_what_a_person_vouches_for_taken_over() {
        let (mut usual, mut odd) = (rows(16), rows(16));
        let (him, other) = (remote(1, 1), remote(1, 2));
        for at in 1..=4_u8 {
            usual.take(Some(him), at.into(), &[f32::from(at)]);
            usual.take(Some(other), at.into(), &[0.5]);
        }
        usual.hand_over(&BTreeSet::from([him]), 3, &mut odd);
        let of_him = |sample: &FadingRows| -> Vec<f32> {
            sample
                .since(0)
                .filter(|(owner, _)| *owner == Some(him))
                .map(|(_, row)| row[0])
                .collect()
        };
        assert_eq!(of_him(&usual), [1.0, 2.0]);
        assert_eq!((of_him(&odd), odd.len()), (vec![3.0, 4.0], 2));
        usual.take_over(&mut odd, him, 7);
        assert_eq!((of_him(&usual), odd.len()), (vec![1.0, 2.0, 3.0, 4.0], 0));
    }
}

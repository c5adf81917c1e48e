//! Who sets the bounds of what is ordinary.
//!
//! Whatever was there during the learning is ordinary from then on: six rows of a scan among fifteen
//! hundred make that scan so. No number tells a scan from an odd client; who it was tells a person. So
//! of each feature the greatest values are held against each other, remote by remote: where fewer than
//! [`SEVERAL`] came near them, these are named.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::net::IpAddr;

use events::Prefix;
use features::{Feature as _, Horizon, PeerFeature, Scale};
use serde::Serialize;

/// Remotes that a bound rests on where it rests on several.
const SEVERAL: usize = 3;
/// Remotes that are told apart at most; those that first come later set no bound.
const REMOTES: usize = 1 << 14;
/// Remotes, and features of each, that are named at most in words.
const NAMED: (usize, usize) = (5, 3);

/// What each remote showed at most, row by row.
#[derive(Clone, Debug, Default)]
pub(crate) struct Bounds {
    rows: u64,
    remotes: HashMap<IpAddr, Shown>,
}

#[derive(Clone, Debug)]
struct Shown {
    rows: u64,
    greatest: Vec<f32>,
}

/// One or two remotes that set bounds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Setters {
    /// Who: an address, or the network that is one remote.
    pub remotes: Vec<Prefix>,
    /// Rows of theirs.
    pub rows: u64,
    /// Rows of all remotes.
    pub of: u64,
    /// The bounds that they set, those of a kind that is abuse first, and of these the farthest.
    pub bounds: Vec<SetBound>,
}

/// A bound that fewer than several remotes set.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SetBound {
    /// The feature.
    pub feature: String,
    /// Its natural unit.
    pub unit: String,
    /// Greatest value of theirs.
    pub value: f32,
    /// Greatest value of all others.
    pub others: f32,
}

impl Bounds {
    /// Takes a row of a remote's scored features.
    pub(crate) fn take(&mut self, remote: IpAddr, row: &[f32]) {
        self.rows += 1;
        if self.remotes.len() >= REMOTES && !self.remotes.contains_key(&remote) {
            return;
        }
        let nothing = || Shown { rows: 0, greatest: vec![f32::MIN; row.len()] };
        let shown = self.remotes.entry(remote).or_insert_with(nothing);
        shown.rows += 1;
        for (greatest, value) in shown.greatest.iter_mut().zip(row) {
            *greatest = greatest.max(*value);
        }
    }

    /// Takes rows side by side; nothing where nobody knows whose they are.
    pub(crate) fn take_all(&mut self, remotes: &[IpAddr], rows: &[f32]) {
        if let Some(width) = rows.len().checked_div(remotes.len()) {
            remotes
                .iter()
                .zip(rows.chunks(width))
                .for_each(|(remote, row)| self.take(*remote, row));
        }
    }

    /// The remotes that set bounds of these features, the columns of the rows: those of most bounds
    /// that are of a kind that is abuse first.
    pub(crate) fn setters(&self, names: &[String]) -> Vec<Setters> {
        // Who is alone sets all of them, and is held against nobody.
        if self.remotes.len() == 1 {
            let remotes = self.remotes.keys().map(|remote| Prefix::of_host(*remote)).collect();
            return vec![Setters { remotes, rows: self.rows, of: self.rows, bounds: Vec::new() }];
        }
        let mut found: BTreeMap<Vec<IpAddr>, Vec<Gap>> = BTreeMap::new();
        for (at, name) in names.iter().enumerate() {
            let Some(feature) = PeerFeature::from_name(name) else { continue };
            let shown = |(remote, shown): (&IpAddr, &Shown)| (shown.greatest[at], *remote);
            let mut greatest: Vec<(f32, IpAddr)> = self.remotes.iter().map(shown).collect();
            greatest.sort_by(|one, other| other.0.total_cmp(&one.0).then(one.1.cmp(&other.1)));
            let gap = |of: usize| Some((greatest.get(of - 1)?.0 - greatest.get(of)?.0, of));
            let gaps = (1..SEVERAL).filter_map(gap).filter(|(gap, _)| *gap >= far(feature));
            if let Some((gap, of)) = gaps.max_by(|one, other| one.0.total_cmp(&other.0)) {
                let mut remotes: Vec<IpAddr> = greatest[..of].iter().map(|one| one.1).collect();
                remotes.sort_unstable();
                let [value, others] =
                    [greatest[0], greatest[of]].map(|(value, _)| feature.natural(value));
                found.entry(remotes).or_default().push(Gap { feature, beyond: gap, value, others });
            }
        }
        let mut all: Vec<Setters> = found
            .into_iter()
            .map(|(remotes, gaps)| Setters {
                rows: remotes.iter().map(|remote| self.remotes[remote].rows).sum(),
                of: self.rows,
                bounds: told(gaps),
                remotes: remotes.into_iter().map(Prefix::of_host).collect(),
            })
            .collect();
        all.sort_by_key(|one| std::cmp::Reverse((one.abuse(), one.bounds.len())));
        all
    }
}

/// A bound, and how far it is beyond what others show, on the feature's scale.
struct Gap {
    feature: PeerFeature,
    beyond: f32,
    value: f32,
    others: f32,
}

/// Difference on the scale of a feature that is far: twice as much, or half of what there may be of a
/// share.
fn far(feature: PeerFeature) -> f32 {
    match feature.scale() {
        Scale::Log => 1.0,
        Scale::Linear => 0.5,
    }
}

fn told(mut gaps: Vec<Gap>) -> Vec<SetBound> {
    gaps.sort_by(|one, other| {
        let abuse = |gap: &Gap| gap.feature.may_act();
        abuse(other).cmp(&abuse(one)).then(other.beyond.total_cmp(&one.beyond))
    });
    gaps.into_iter()
        .map(|Gap { feature, value, others, .. }| SetBound {
            feature: feature.name().to_owned(),
            unit: feature.natural_unit().to_owned(),
            value,
            others,
        })
        .collect()
}

impl Setters {
    /// Bounds of a kind that is abuse.
    fn abuse(&self) -> usize {
        let features =
            self.bounds.iter().filter_map(|bound| PeerFeature::from_name(&bound.feature));
        features.filter(|feature| feature.may_act()).count()
    }
}

/// Who sets bounds over any horizon, in words, and how to leave them out; nothing where nobody does.
#[must_use]
pub fn told_of_bounds(all: &[(Horizon, Vec<Setters>)]) -> String {
    let alone = all.first().and_then(|(_, setters)| setters.first());
    if let Some(one) = alone.filter(|one| one.bounds.is_empty()) {
        return format!(
            "all {} rows are of one remote, {}: whatever another does was never seen, and may stand out; learn \
             where more than one comes\n",
            one.rows, one.remotes[0]
        );
    }
    let mut most: Vec<(Horizon, &Setters)> = Vec::new();
    for (horizon, setters) in
        all.iter().flat_map(|(horizon, all)| all.iter().map(|one| (*horizon, one)))
    {
        match most.iter_mut().find(|(_, known)| known.remotes == setters.remotes) {
            Some(known) if known.1.bounds.len() < setters.bounds.len() => {
                *known = (horizon, setters);
            }
            Some(_) => {}
            None => most.push((horizon, setters)),
        }
    }
    most.sort_by_key(|(_, one)| std::cmp::Reverse((one.abuse(), one.bounds.len())));
    let Some((_, first)) = most.first() else { return String::new() };
    let mut text = format!(
        "what fewer than {SEVERAL} remotes did is ordinary from now on, where they did far more than all others:\n"
    );
    let (remotes, features) = NAMED;
    for (horizon, one) in most.iter().take(remotes) {
        let bound = |bound: &SetBound| {
            let SetBound { feature, unit, value, others } = bound;
            let unit = if unit == "1" { String::new() } else { format!(" {unit}") };
            format!("{feature} up to {}{unit} (others {})", short(*value), short(*others))
        };
        let named: Vec<String> = one.bounds.iter().take(features).map(bound).collect();
        let more = one.bounds.len().saturating_sub(features);
        let more = if more > 0 { format!(", and {more} more") } else { String::new() };
        // A string takes whatever is written.
        let _ = writeln!(
            text,
            "  {}, {} of {} rows over {horizon}: {}{more}",
            one.remotes.iter().map(Prefix::to_string).collect::<Vec<_>>().join(" and "),
            one.rows,
            one.of,
            named.join(", ")
        );
    }
    if most.len() > remotes {
        let _ = writeln!(text, "  and {} more", most.len() - remotes);
    }
    let flags: Vec<String> =
        first.remotes.iter().map(|remote| format!("--exclude {remote}")).collect();
    text + &format!("  who of them was no ordinary client is left out by `{}`\n", flags.join(" "))
}

/// A value as people read it.
fn short(value: f32) -> String {
    if value.fract() == 0.0 || value >= 100.0 {
        format!("{value:.0}")
    } else {
        format!("{value:.2}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn remote(last: u8) -> IpAddr {
        [192, 0, 2, last].into()
    }

    /// Rows of twenty remotes with up to three new targets, and of these with so many.
    fn bounds(odd: &[(IpAddr, u32)]) -> (Bounds, Vec<String>) {
        let names: Vec<String> = PeerFeature::scored().map(|one| one.name().to_owned()).collect();
        let row = |targets: u32| {
            let mut row = vec![0.0; names.len()];
            row[PeerFeature::NewTargets.index()] = (1.0 + targets as f32).log2();
            row
        };
        let mut bounds = Bounds::default();
        for (second, last) in (0..30).flat_map(|second| (1..=20).map(move |last| (second, last))) {
            bounds.take(remote(last), &row((second + u32::from(last)) % 4));
        }
        for (remote, targets) in odd {
            bounds.take(*remote, &row(*targets));
        }
        (bounds, names)
    }

    #[test]
    fn who_alone_did_far_more_than_all_others_is_named_with_the_flag_that_leaves_it_out() {
        let (bounds, names) = bounds(&[(remote(99), 200), (remote(99), 150)]);
        let setters = bounds.setters(&names);
        let [one] = &setters[..] else { panic!("{setters:?}") };
        assert_eq!((&one.remotes[..], one.rows, one.of), (&[remote(99).into()][..], 2, 602));
        let text = told_of_bounds(&[(Horizon::from_ms(1_000), setters)]);
        assert!(
            text.contains(
                "192.0.2.99, 2 of 602 rows over 1s: new_targets up to 200 targets (others 3)\n"
            ),
            "{text}"
        );
        assert!(text.ends_with("`--exclude 192.0.2.99`\n"), "{text}");
    }

    #[test]
    fn two_set_a_bound_together_and_three_are_several() {
        let of = |count: u8| {
            let odd: Vec<_> =
                (0..count).map(|nth| (remote(90 + nth), 200 + u32::from(nth))).collect();
            let (bounds, names) = bounds(&odd);
            bounds.setters(&names).iter().map(|one| one.remotes.len()).collect::<Vec<_>>()
        };
        assert_eq!([of(0), of(2), of(3)], [vec![], vec![2], vec![]]);
        assert_eq!(told_of_bounds(&[]), "");
    }

    #[test]
    fn a_remote_that_is_all_there_was_is_named() {
        let names = [PeerFeature::NewTargets.name().to_owned()];
        let mut bounds = Bounds::default();
        (0..30).for_each(|_| bounds.take(remote(7), &[1.0]));
        let text = told_of_bounds(&[(Horizon::from_ms(1_000), bounds.setters(&names))]);
        assert!(text.starts_with("all 30 rows are of one remote, 192.0.2.7: "), "{text}");
        bounds.take(remote(8), &[1.0]);
        assert_eq!(bounds.setters(&names), []);
    }

    #[test]
    fn a_network_that_is_one_remote_is_named_as_such() {
        let net: Prefix = "2001:db8:7::/64".parse().expect("a prefix");
        let (bounds, names) = bounds(&[(net.as_host().expect("a host's"), 900)]);
        assert_eq!(bounds.setters(&names)[0].remotes, [net]);
    }
}

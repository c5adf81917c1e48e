//! Peers joined with their flows, window by window.

use std::{collections::HashMap, net::IpAddr, ops::Range, path::PathBuf};

use ::model::PeerFacts;
use dataset::{Columns, DataFile, Dataset, LabelFilter, Selection, TableKind};

use super::{
    Piece, Read,
    windows::{Key, Windows},
};

/// Rows read ahead of each table.
const BLOCK_ROWS: usize = 16_384;

/// Streams the windows of each pair of files that were written together.
pub(super) fn read(
    dataset: &Dataset,
    selection: &Selection,
    visit: &mut dyn FnMut(&Piece) -> anyhow::Result<()>,
) -> anyhow::Result<Read> {
    let mut read = Read::default();
    for peer in dataset.files(TableKind::Peer) {
        let flow = flows_of(dataset, peer)?;
        let pair = Dataset::open(&[&peer.path, &flow])?;
        pair_of(&pair, selection, &mut read, visit)?;
    }
    Ok(read)
}

/// The flow file that belongs to a peer file.
fn flows_of(dataset: &Dataset, peer: &DataFile) -> anyhow::Result<PathBuf> {
    let there = |path: &PathBuf| dataset.files(TableKind::Flow).any(|file| file.path == *path);
    if let Some(sibling) = peer.sibling(TableKind::Flow).filter(there) {
        return Ok(sibling);
    }
    let mut flows = dataset.files(TableKind::Flow);
    if let (Some(only), None, 1) =
        (flows.next(), flows.next(), dataset.files(TableKind::Peer).count())
    {
        return Ok(only.path.clone());
    }
    anyhow::bail!(
        "`{}` has no flow table beside it: give the whole folder that `weir capture` or \
         `weir replay --out` wrote, or take one table with --table peer",
        peer.path.display()
    )
}

fn pair_of(
    pair: &Dataset,
    selection: &Selection,
    read: &mut Read,
    visit: &mut dyn FnMut(&Piece) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    // All of them: of a remote with several rows, the facts tell which flows are whose.
    let of_peers = Selection { block_rows: BLOCK_ROWS, columns: Columns::All, ..selection.clone() };
    // A peer bears one label, its flows may bear others: which rows count is the peer's matter.
    let of_flows =
        Selection { labels: LabelFilter::Any, columns: Columns::Features, ..of_peers.clone() };
    let mut peers = Windows::new(pair.blocks(TableKind::Peer, &of_peers));
    let mut flows = Windows::new(pair.blocks(TableKind::Flow, &of_flows));
    let all_peers = selection.labels == LabelFilter::Any;
    let mut orphans = 0;
    let mut before: Option<Key> = None;
    while let Some(key) = peers.peek()? {
        if before.is_some_and(|before| before >= key) {
            anyhow::bail!(
                "a peer table is not in the order of time (the window at {} ns comes late): use \
                 the file as weir wrote it",
                key.0
            );
        }
        before = Some(key);
        let mut rows = peers.take()?;
        while flows.peek()?.is_some_and(|at| at < key) {
            orphans += flows.take()?.len() as u64;
        }
        let its_flows = if flows.peek()? == Some(key) { flows.take()? } else { Piece::default() };
        orphans += attach(&mut rows, &its_flows);
        read.rows += rows.len() as u64;
        visit(&rows)?;
    }
    while flows.peek()?.is_some() {
        orphans += flows.take()?.len() as u64;
    }
    if all_peers {
        read.orphan_flows += orphans;
    }
    let read_counts = peers.blocks().read_counts();
    read.lossy += read_counts.lossy;
    read.files_without_windows += read_counts.files_without_windows;
    Ok(())
}

/// Gives each peer its flows, side by side; returns how many flows have no peer.
fn attach(peers: &mut Piece, flows: &Piece) -> u64 {
    let width = flows.rows.len().checked_div(flows.len()).unwrap_or(0);
    let mut order: Vec<usize> = (0..flows.len()).collect();
    // Weir writes them side by side; whoever sorted them otherwise loses nothing.
    order.sort_by_key(|&flow| flows.remote[flow]);
    let mut ranges: HashMap<IpAddr, Range<usize>> = HashMap::new();
    peers.flow_rows.reserve(flows.rows.len());
    for (place, &flow) in order.iter().enumerate() {
        ranges.entry(flows.remote[flow]).or_insert(place..place).end = place + 1;
        peers.flow_rows.extend(&flows.rows[flow * width..(flow + 1) * width]);
    }
    peers.flows_of.clear();
    let mut rows = (0..peers.remote.len()).peekable();
    while let Some(first) = rows.next() {
        let remote = peers.remote[first];
        let its_rows = std::iter::once(first)
            .chain(std::iter::from_fn(|| rows.next_if(|&row| peers.remote[row] == remote)));
        let its_rows: Vec<usize> = its_rows.collect();
        let range = ranges.get(&remote).cloned().unwrap_or(0..0);
        peers.flows_of.extend(apart(range, &its_rows, &peers.facts));
    }
    let matched: usize = peers.flows_of.iter().map(ExactSizeIterator::len).sum();
    flows.len().saturating_sub(matched) as u64
}

/// A remote's flows, apart by its rows: one for each standing, whose flows are written in the rows'
/// order. None for any where their numbers do not fit.
fn apart(flows: Range<usize>, rows: &[usize], facts: &[PeerFacts]) -> Vec<Range<usize>> {
    if rows.len() == 1 {
        return vec![flows];
    }
    let mut next = flows.start;
    let ranges: Vec<Range<usize>> = rows
        .iter()
        .map(|&row| {
            let from = next;
            let count = facts.get(row).map_or(0, |facts| facts.flows);
            next = from.saturating_add(usize::try_from(count).unwrap_or(usize::MAX));
            from..next
        })
        .collect();
    if next == flows.end { ranges } else { vec![0..0; rows.len()] }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(remotes: &[u8], width: usize) -> Piece {
        Piece {
            starts_ns: vec![0; remotes.len()],
            remote: remotes.iter().map(|last| IpAddr::from([192, 0, 2, *last])).collect(),
            rows: remotes.iter().flat_map(|last| vec![f32::from(*last); width]).collect(),
            ..Piece::default()
        }
    }

    #[test]
    fn each_peer_gets_its_flows_however_they_are_sorted() {
        let mut peers = rows(&[1, 2, 3], 4);
        let orphans = attach(&mut peers, &rows(&[3, 1, 3, 9], 2));
        assert_eq!(peers.flows_of, [0..1, 0..0, 1..3]);
        assert_eq!(peers.flow_rows, [1.0, 1.0, 3.0, 3.0, 3.0, 3.0, 9.0, 9.0]);
        assert_eq!(orphans, 1);
    }

    #[test]
    fn flows_of_a_remote_in_two_standings_go_to_the_row_of_theirs() {
        let facts = |flows| PeerFacts { flows, ..PeerFacts::default() };
        let mut peers = rows(&[1, 1, 2], 4);
        peers.facts = vec![facts(2), facts(1), facts(1)];
        assert_eq!(attach(&mut peers, &rows(&[2, 1, 1, 1], 2)), 0);
        assert_eq!(peers.flows_of, [0..2, 2..3, 3..4]);
        let mut other = rows(&[1, 1], 4);
        other.facts = vec![facts(2), facts(2)];
        assert_eq!(attach(&mut other, &rows(&[1, 1, 1], 2)), 3, "their numbers do not fit");
    }

    #[test]
    fn a_window_without_flows_has_peers_without_flows() {
        let mut peers = rows(&[1, 2], 4);
        assert_eq!(attach(&mut peers, &Piece::default()), 0);
        assert_eq!(peers.flows_of, [0..0, 0..0]);
    }
}

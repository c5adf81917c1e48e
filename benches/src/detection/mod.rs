//! The detection study: what is found in captures that nobody here made, and what is cried over.
//!
//! [`corpus`] says which captures there are and what is known of them; [`replay`] makes windows
//! of them as the protected host would see them; [`capture`] holds these with their rows. [`learn`] fits
//! a model to some; [`budget`] asks of the rows of others what is found where so few benign remotes
//! may ever alarm, and [`score`] puts their windows through detector and policy.
//!
//! The parts of the study: [`own`], the lab's captures; [`made`], made-up networks; [`folds`], the captures
//! of others; [`curve`], the same as more is learnt; [`worth`], the prior's; [`plot`] draws them. The
//! binary `weir-detection` runs them and prints the tables of `docs/detection.md`.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

pub mod budget;
pub mod capture;
pub mod corpus;
pub mod curve;
pub mod folds;
pub mod learn;
pub mod made;
pub mod own;
pub mod plot;
pub mod replay;
pub mod score;
pub mod worth;

/// Tells of progress, from any thread.
pub type Tell<'a> = &'a (dyn Fn(&str) + Sync);

/// What is made of each, in their order, by as many threads as there are processors.
///
/// # Errors
/// The first in their order.
pub fn each<T: Sync, R: Send>(
    all: &[T],
    make: impl Fn(&T) -> anyhow::Result<R> + Sync,
) -> anyhow::Result<Vec<R>> {
    let next = AtomicUsize::new(0);
    let done = Mutex::new(Vec::with_capacity(all.len()));
    let work = || {
        loop {
            let place = next.fetch_add(1, Ordering::Relaxed);
            let Some(one) = all.get(place) else { break };
            let result = make(one);
            done.lock().unwrap_or_else(PoisonError::into_inner).push((place, result));
        }
    };
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from).min(all.len()) {
            scope.spawn(work);
        }
    });
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_by_key(|(place, _)| *place);
    done.into_iter().map(|(_, result)| result).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_made_of_many_keeps_their_order_and_tells_the_first_error() {
        let all: Vec<usize> = (0..100).collect();
        assert_eq!(
            each(&all, |one| Ok(one * 2)).unwrap(),
            (0..100).map(|one| one * 2).collect::<Vec<_>>()
        );
        let error = each(&all, |&one| if one > 40 { anyhow::bail!("{one}") } else { Ok(one) });
        assert_eq!(error.unwrap_err().to_string(), "41");
        assert!(each(&[] as &[usize], |&one| Ok(one)).unwrap().is_empty());
    }
}

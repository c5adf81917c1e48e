//! Shares of the connections: one client must not hold them all.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::limiter::Client;

/// Connections of each client.
#[derive(Debug)]
pub(super) struct Shares {
    most: usize,
    held: Mutex<BTreeMap<Client, usize>>,
}

/// The place of a connection in its client's share; given back when this is dropped.
#[derive(Debug)]
pub(super) struct Share {
    shares: Arc<Shares>,
    client: Client,
}

impl Shares {
    /// At most so many a client, and at least one.
    pub(super) fn new(most: usize) -> Self {
        Self { most: most.max(1), held: Mutex::new(BTreeMap::new()) }
    }

    /// A place for another connection of this client; none where its share is taken.
    pub(super) fn take(self: &Arc<Self>, client: Client) -> Option<Share> {
        let mut held = self.held();
        let count = held.entry(client).or_default();
        if *count >= self.most {
            return None;
        }
        *count += 1;
        Some(Share { shares: Arc::clone(self), client })
    }

    fn held(&self) -> MutexGuard<'_, BTreeMap<Client, usize>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut held = self.shares.held();
        let Some(count) = held.get_mut(&self.client) else { return };
        *count -= 1;
        if *count == 0 {
            held.remove(&self.client);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_has_its_share_and_leaves_nothing_behind() {
        let shares = Arc::new(Shares::new(2));
        let at = |text: &str| Client::at(text.parse().unwrap());
        let held = [shares.take(at("192.0.2.1")), shares.take(at("192.0.2.1"))];
        assert!(held.iter().all(Option::is_some) && shares.take(at("192.0.2.1")).is_none());
        assert!(shares.take(at("192.0.2.2")).is_some(), "another has its own");
        drop(held);
        assert!(shares.held().is_empty());
        assert!(shares.take(at("192.0.2.1")).is_some());
    }
}

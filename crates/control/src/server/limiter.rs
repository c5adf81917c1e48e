//! A token bucket for each client, in bounded memory.

use std::{
    collections::HashMap,
    net::IpAddr,
    time::{Duration, Instant},
};

use super::limits::{RATED_CLIENTS, Rate};

/// Client whose requests are counted together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Client {
    /// A user of the socket.
    User(u32),
    /// An address; of IPv6 the network, for a host may take any address in it.
    Address(IpAddr),
    /// All for whom there is no room.
    Others,
}

impl Client {
    pub(super) fn at(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V6(v6) => {
                let [a, b, c, d, ..] = v6.segments();
                Self::Address(IpAddr::from([a, b, c, d, 0, 0, 0, 0]))
            }
            v4 @ IpAddr::V4(_) => Self::Address(v4),
        }
    }
}

/// Allowance left to a client.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    requests: f64,
    at: Instant,
}

/// The clients' buckets.
#[derive(Debug)]
pub(super) struct Limiter {
    rate: Rate,
    capacity: usize,
    buckets: HashMap<Client, Bucket>,
}

impl Limiter {
    pub(super) fn new(rate: Rate) -> Self {
        Self { rate, capacity: RATED_CLIENTS, buckets: HashMap::new() }
    }

    /// Takes a request of this client's.
    ///
    /// # Errors
    /// It asks too often; when it may again.
    pub(super) fn take(&mut self, client: Client, now: Instant) -> Result<(), Duration> {
        let per_second = f64::from(self.rate.per_second.max(1));
        let burst = f64::from(self.rate.burst.max(1));
        let client = self.room_for(client, now);
        let bucket = self.buckets.entry(client).or_insert(Bucket { requests: burst, at: now });
        let rested = now.saturating_duration_since(bucket.at).as_secs_f64();
        bucket.requests = (bucket.requests + rested * per_second).min(burst);
        bucket.at = now;
        if bucket.requests >= 1.0 {
            bucket.requests -= 1.0;
            Ok(())
        } else {
            Err(Duration::from_secs_f64((1.0 - bucket.requests) / per_second))
        }
    }

    /// The client under which this one is counted: itself while there is room.
    fn room_for(&mut self, client: Client, now: Instant) -> Client {
        if self.buckets.contains_key(&client) || self.buckets.len() < self.capacity {
            return client;
        }
        // Whoever has rested long enough for a full bucket is as good as new.
        let full_after = f64::from(self.rate.burst.max(1)) / f64::from(self.rate.per_second.max(1));
        self.buckets.retain(|_, bucket| {
            now.saturating_duration_since(bucket.at).as_secs_f64() < full_after
        });
        if self.buckets.len() < self.capacity { client } else { Client::Others }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limiter(capacity: usize) -> Limiter {
        Limiter { capacity, ..Limiter::new(Rate { per_second: 2, burst: 3 }) }
    }

    #[test]
    fn a_burst_passes_and_then_the_rate_holds() {
        let (mut limiter, start) = (limiter(8), Instant::now());
        let client = Client::User(1);
        for _ in 0..3 {
            assert_eq!(limiter.take(client, start), Ok(()));
        }
        assert_eq!(limiter.take(client, start), Err(Duration::from_millis(500)));
        assert_eq!(limiter.take(Client::User(2), start), Ok(()), "another pays for the first");
        let later = start + Duration::from_millis(500);
        assert_eq!(limiter.take(client, later), Ok(()));
        assert!(limiter.take(client, later).is_err());
    }

    #[test]
    fn clients_beyond_the_room_share_one_rate_until_others_have_rested() {
        let (mut limiter, start) = (limiter(2), Instant::now());
        for user in 0..2 {
            assert_eq!(limiter.take(Client::User(user), start), Ok(()));
        }
        let taken = (2..100).filter(|&user| limiter.take(Client::User(user), start).is_ok());
        assert_eq!(taken.count(), 3);
        assert!(limiter.buckets.len() <= 3);
        let rested = start + Duration::from_secs(2);
        assert_eq!(limiter.take(Client::User(100), rested), Ok(()));
        assert!(limiter.buckets.contains_key(&Client::User(100)));
    }

    #[test]
    fn a_network_of_ipv6_is_one_client() {
        let at = |text: &str| Client::at(text.parse().unwrap());
        assert_eq!(at("2001:db8::1"), at("2001:db8::ffff:1"));
        assert_ne!(at("2001:db8::1"), at("2001:db8:0:1::1"));
        assert_eq!(at("::ffff:192.0.2.1"), at("192.0.2.1"));
    }
}

//! `[api]`: where people and programs reach the node.

use std::{net::SocketAddr, path::PathBuf};

use control::{Limits, Listen, Rate, ServerConfig};
use policy::section;

use super::{ConfigError, bound};

section! {
    /// Where people and programs reach the node.
    #[derive(Eq)]
    RawApi {
        /// The Unix socket; its folder is made where it is not there.
        socket: PathBuf = PathBuf::from("/run/weir/weir.sock"),
        /// The group that may read at the socket; root and the node's own user may change too.
        group: Option<String> = None,
        /// A TCP address to listen on too, as `127.0.0.1:9187`.
        listen: Option<SocketAddr> = None,
        /// The file of tokens for it; without one nothing is changed by it, and it is a loopback
        /// address.
        tokens: Option<PathBuf> = None,
        /// Answer reads without a token on a loopback address: to every user of the machine.
        reads_open: bool = false,
        /// Answer `/metrics`, `/livez` and `/readyz` without a token on any address.
        metrics_open: bool = false,
        /// Requests a second from one client, in the long run.
        requests_per_second: u32 = Rate::default().per_second,
        /// Requests at once from one client, after a rest.
        burst: u32 = Rate::default().burst,
    }
}

impl RawApi {
    /// Checks every bound; the files are looked at when the server starts.
    pub(super) fn check(self) -> Result<ServerConfig, ConfigError> {
        if !self.socket.is_absolute() {
            let got = self.socket.display();
            return Err(bound("api.socket", "an absolute path".into(), got));
        }
        for (key, value) in
            [("api.requests_per_second", self.requests_per_second), ("api.burst", self.burst)]
        {
            if value == 0 {
                return Err(bound(key, "at least 1".into(), value));
            }
        }
        if let (Some(listen), None) = (self.listen, &self.tokens)
            && !listen.ip().to_canonical().is_loopback()
        {
            let needed = "a loopback address unless `api.tokens` names a file of tokens";
            return Err(bound("api.listen", needed.into(), listen));
        }
        if let (Some(listen), true) = (self.listen, self.reads_open)
            && !listen.ip().to_canonical().is_loopback()
        {
            let needed = "false, for others reach `api.listen`";
            return Err(bound("api.reads_open", needed.into(), listen));
        }
        if self.listen.is_some() && self.tokens.is_none() && !(self.reads_open || self.metrics_open)
        {
            return Err(ConfigError::Missing {
                key: "api.tokens",
                remedy: "`weir token new NAME` makes one; or let every user of this machine read: \
                         `api.reads_open = true`, or `api.metrics_open = true` for metrics alone",
            });
        }
        if self.listen.is_none() && self.tokens.is_some() {
            return Err(ConfigError::Missing {
                key: "api.listen",
                remedy: "`api.tokens` is for a TCP address; set one or leave both out",
            });
        }
        let rate = Rate { per_second: self.requests_per_second, burst: self.burst };
        Ok(ServerConfig {
            socket: self.socket,
            group: self.group,
            listen: self.listen.map(|address| Listen {
                address,
                tokens: self.tokens,
                reads_open: self.reads_open,
                metrics_open: self.metrics_open,
            }),
            limits: Limits { rate, ..Limits::default() },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(raw: RawApi) -> String {
        raw.check().expect_err("it holds").to_string()
    }

    #[test]
    fn the_default_is_a_socket_of_this_machine_and_no_address() {
        let config = RawApi::default().check().unwrap();
        assert_eq!(config.listen, None);
        assert_eq!(config.socket, PathBuf::from("/run/weir/weir.sock"));
    }

    #[test]
    fn an_address_that_others_reach_needs_tokens() {
        for address in ["0.0.0.0:80", "[::]:80", "192.0.2.1:80", "[::ffff:192.0.2.1]:80"] {
            let listen = Some(address.parse().unwrap());
            let raw = RawApi { listen, ..RawApi::default() };
            assert!(error(raw.clone()).contains("`api.tokens`"), "{address}");
            let tokens = Some(PathBuf::from("/etc/weir/tokens.toml"));
            assert!(RawApi { tokens, ..raw }.check().is_ok(), "{address}");
        }
        let listen = Some("[::1]:80".parse().unwrap());
        let local = RawApi { listen, ..RawApi::default() };
        assert!(error(local.clone()).contains("`api.reads_open = true`"), "nobody could ask");
        assert!(RawApi { reads_open: true, ..local.clone() }.check().is_ok());
        assert!(RawApi { metrics_open: true, ..local.clone() }.check().is_ok());
        let listen = Some("192.0.2.1:80".parse().unwrap());
        let tokens = Some(PathBuf::from("/etc/weir/tokens.toml"));
        let told = error(RawApi { listen, tokens, reads_open: true, ..local });
        assert!(told.contains("`api.reads_open` must be false"), "{told}");
    }

    #[test]
    fn what_is_out_of_bounds_is_named() {
        let base = RawApi::default();
        assert!(error(RawApi { burst: 0, ..base.clone() }).contains("`api.burst`"));
        assert!(error(RawApi { socket: "weir.sock".into(), ..base.clone() }).contains("absolute"));
        let tokens = Some(PathBuf::from("/etc/weir/tokens.toml"));
        assert!(error(RawApi { tokens, ..base }).contains("`api.listen`"));
    }
}

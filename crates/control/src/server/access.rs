//! Access: callers, and the endpoints open to them.
//!
//! At the Unix socket the kernel says who asks: root and the node's own user may change it,
//! whoever else may open the socket may read. Over TCP a token says so; without one, a loopback
//! address may be read from where that is asked for, and nothing more.

use std::net::{IpAddr, SocketAddr};

use axum::http::uri::Authority;
use nix::unistd::{Uid, User};

use super::{limiter::Client, shared::Remote};
use crate::{
    node::Who,
    token::Scope,
    wire::{Kind, Refused},
};

/// Access that an endpoint asks of the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Need {
    /// Endpoints that a monitoring system reads.
    Monitor,
    /// Seeing the node.
    Read,
    /// Changing it.
    Write,
}

/// The other end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Caller {
    /// A process at the Unix socket.
    Local { uid: u32, gid: u32, pid: Option<i32> },
    /// A client at the TCP address.
    Remote(SocketAddr),
}

/// A caller that may do what it asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Pass {
    /// A process at the Unix socket.
    Local { uid: u32, gid: u32, pid: Option<i32> },
    /// A client with a token.
    Token { name: String, address: SocketAddr },
    /// A client at a loopback address, or of what is open.
    Anonymous,
}

impl Caller {
    /// Client whose rate the request counts towards.
    pub(super) fn client(&self) -> Client {
        match self {
            Self::Local { uid, .. } => Client::User(*uid),
            Self::Remote(address) => Client::at(address.ip()),
        }
    }
}

impl Pass {
    /// Name recorded for a change; it looks the user's name up, which may take a while.
    pub(super) fn who(&self) -> Result<Who, Refused> {
        match self {
            Self::Local { uid, gid, pid } => {
                let user = User::from_uid(Uid::from_raw(*uid)).ok().flatten();
                Ok(Who::Local { uid: *uid, gid: *gid, pid: *pid, user: user.map(|user| user.name) })
            }
            Self::Token { name, address } => {
                Ok(Who::Token { name: name.clone(), address: *address })
            }
            Self::Anonymous => Err(Refused::new(Kind::Unauthorized, "a change needs a token")),
        }
    }
}

/// Decides whether a caller may ask.
///
/// # Errors
/// `Unauthorized` without a valid token, `Forbidden` where it is not enough.
pub(super) fn admit(
    caller: Caller,
    need: Need,
    bearer: Option<&str>,
    remote: Option<&Remote>,
    own_uid: u32,
) -> Result<Pass, Refused> {
    match caller {
        Caller::Local { uid, gid, pid } => {
            if need == Need::Write && uid != 0 && uid != own_uid {
                return Err(Refused::new(
                    Kind::Forbidden,
                    format!(
                        "uid {uid} may read but not change; root and the node's own user (uid \
                         {own_uid}) may, for example by sudo"
                    ),
                ));
            }
            Ok(Pass::Local { uid, gid, pid })
        }
        Caller::Remote(address) => match remote {
            Some(remote) => admit_remote(address, need, bearer, remote),
            None => Err(Refused::internal("a TCP client, but no TCP address is configured")),
        },
    }
}

fn admit_remote(
    address: SocketAddr,
    need: Need,
    bearer: Option<&str>,
    remote: &Remote,
) -> Result<Pass, Refused> {
    let Some(bearer) = bearer else {
        let open = need == Need::Monitor && remote.metrics_open;
        if open || (remote.reads_open && need != Need::Write) {
            return Ok(Pass::Anonymous);
        }
        return Err(Refused::new(
            Kind::Unauthorized,
            "give a token as `Authorization: Bearer weir_…`; `weir token new NAME` makes one",
        ));
    };
    let tokens = remote.tokens();
    let Some(token) = tokens.find(bearer) else {
        return Err(Refused::new(Kind::Unauthorized, "the token is not known"));
    };
    let scope = if need == Need::Write { Scope::Write } else { Scope::Read };
    if !token.scopes.contains(&scope) {
        return Err(Refused::new(
            Kind::Forbidden,
            format!("the token `{}` has not the scope `{}`", token.name, scope.text()),
        ));
    }
    Ok(Pass::Token { name: token.name.clone(), address })
}

/// True of a `Host` header that names this machine's loopback. A page on the web that had its own
/// name resolved to 127.0.0.1 is sent with that name.
pub(crate) fn names_loopback(host: &str) -> bool {
    let Ok(authority) = host.parse::<Authority>() else { return false };
    let name = authority.host();
    if name.eq_ignore_ascii_case("localhost") {
        return true;
    }
    let bare = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use std::{
        collections::BTreeSet,
        sync::{Arc, RwLock},
    };

    use super::*;
    use crate::token::{NewToken, Tokens};

    fn remote(reads_open: bool, metrics_open: bool) -> (Remote, [NewToken; 2]) {
        let made = [1, 2].map(|byte| NewToken::from_bytes([byte; 32]));
        let [reader, writer] = &made;
        let text = reader.entry("reader", &BTreeSet::from([Scope::Read]))
            + &writer.entry("writer", &BTreeSet::from([Scope::Write]));
        let tokens: Tokens = toml::from_str(&text).unwrap();
        let tokens = RwLock::new(Arc::new(tokens));
        let remote = Remote { loopback: true, reads_open, metrics_open, path: None, tokens };
        (remote, made)
    }

    fn verdict(need: Need, bearer: Option<&str>, remote: &Remote) -> Result<Pass, Kind> {
        let caller = Caller::Remote("127.0.0.1:9".parse().unwrap());
        admit(caller, need, bearer, Some(remote), 1_000).map_err(|refused| refused.kind)
    }

    #[test]
    fn without_a_token_only_what_is_open_is_read_from() {
        let (open, _) = remote(true, false);
        assert_eq!(verdict(Need::Read, None, &open), Ok(Pass::Anonymous));
        assert_eq!(verdict(Need::Write, None, &open), Err(Kind::Unauthorized));
        let (closed, _) = remote(false, false);
        for need in [Need::Monitor, Need::Read, Need::Write] {
            assert_eq!(verdict(need, None, &closed), Err(Kind::Unauthorized), "{need:?}");
        }
        let (monitored, _) = remote(false, true);
        assert_eq!(verdict(Need::Monitor, None, &monitored), Ok(Pass::Anonymous));
        assert_eq!(verdict(Need::Read, None, &monitored), Err(Kind::Unauthorized));
    }

    #[test]
    fn a_token_is_good_for_its_scopes_only() {
        let (remote, [reader, writer]) = remote(false, false);
        let name = |pass: Result<Pass, Kind>| match pass {
            Ok(Pass::Token { name, .. }) => Ok(name),
            Ok(other) => panic!("{other:?}"),
            Err(kind) => Err(kind),
        };
        let ask = |need, token: &NewToken| name(verdict(need, Some(token.text()), &remote));
        assert_eq!(ask(Need::Read, &reader), Ok("reader".to_owned()));
        assert_eq!(ask(Need::Monitor, &reader), Ok("reader".to_owned()));
        assert_eq!(ask(Need::Write, &reader), Err(Kind::Forbidden));
        assert_eq!(ask(Need::Write, &writer), Ok("writer".to_owned()));
        assert_eq!(ask(Need::Read, &writer), Err(Kind::Forbidden));
        let unknown = NewToken::from_bytes([3; 32]);
        assert_eq!(ask(Need::Read, &unknown), Err(Kind::Unauthorized));
    }

    #[test]
    fn at_the_socket_root_and_the_own_user_change_and_others_read() {
        let ask = |uid, need| {
            admit(Caller::Local { uid, gid: 5, pid: None }, need, None, None, 1_000)
                .map(drop)
                .map_err(|refused| refused.kind)
        };
        for uid in [0, 1_000] {
            assert_eq!(ask(uid, Need::Write), Ok(()));
        }
        assert_eq!(ask(1_001, Need::Read), Ok(()));
        assert_eq!(ask(1_001, Need::Write), Err(Kind::Forbidden));
    }

    #[test]
    fn only_names_of_the_loopback_pass() {
        for host in ["localhost", "LOCALHOST:8080", "127.0.0.1:9", "127.8.8.8", "[::1]:9", "[::1]"]
        {
            assert!(names_loopback(host), "{host}");
        }
        for host in ["evil.example", "localhost.evil.example", "192.0.2.1", "", "a b", "::1"] {
            assert!(!names_loopback(host), "{host}");
        }
    }
}

//! The question: an address, one end of a flow, or both.

use std::net::{IpAddr, SocketAddr};

use datapath::{TraceEndpoint, TraceFilter};
use events::Service;
use ipnet::IpNet;

/// Protocols that may be named, with their IP protocol numbers.
const PROTOCOLS: [(&str, u8); 5] =
    [("tcp", 6), ("udp", 17), ("icmp", 1), ("icmpv6", 58), ("sctp", 132)];

/// What is asked after: packets both ways between two ends, one of which may be any.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// As it was asked.
    pub text: String,
    /// What is followed in the kernel.
    pub filter: TraceFilter,
}

/// A question that cannot be understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QuestionError {
    /// A word that is no end of a flow.
    #[error(
        "`{0}` is no address; ask for `203.0.113.7`, `203.0.113.7:443`, `[2001:db8::1]:443`, with a protocol \
         before it (`tcp`, `udp`, `icmp`, `icmpv6`, `sctp`), and with a second address for one flow"
    )]
    Word(String),
    /// Too many or too few of them.
    #[error("one address is asked for, or the two ends of a flow, got {0}")]
    Ends(usize),
}

impl Question {
    /// Reads `[PROTOCOL] ADDRESS[:PORT] [ADDRESS[:PORT]]`.
    ///
    /// # Errors
    /// [`QuestionError`] with what it stumbled over.
    pub fn parse<W: AsRef<str>>(words: &[W]) -> Result<Self, QuestionError> {
        let words: Vec<&str> =
            words.iter().flat_map(|word| word.as_ref().split_whitespace()).collect();
        let protocol = words.first().and_then(|word| protocol(word));
        let ends = &words[usize::from(protocol.is_some())..];
        if !(1..=2).contains(&ends.len()) {
            return Err(QuestionError::Ends(ends.len()));
        }
        let mut filter = TraceFilter { protocol, ..TraceFilter::default() };
        for (place, word) in filter.ends.iter_mut().zip(ends) {
            *place = end(word).ok_or_else(|| QuestionError::Word((*word).to_owned()))?;
        }
        Ok(Self { text: words.join(" "), filter })
    }

    /// The addresses that it names.
    pub fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        self.filter.ends.iter().filter_map(|end| end.net.map(|net| net.addr()))
    }

    /// True where a flow may be one that is asked after.
    #[must_use]
    pub fn is_about(&self, protocol: u8, one: (IpAddr, u16), other: (IpAddr, u16)) -> bool {
        let [first, second] = &self.filter.ends;
        self.filter.protocol.is_none_or(|asked| asked == protocol)
            && (first.is(one.0, one.1) && second.is(other.0, other.1)
                || first.is(other.0, other.1) && second.is(one.0, one.1))
    }

    /// True where a service of this host may be one that its packets go to.
    #[must_use]
    pub fn may_go_to(&self, service: Service) -> bool {
        let ports = self.filter.ends.iter().filter_map(|end| end.port);
        self.filter.protocol.is_none_or(|asked| asked == service.protocol)
            && (service.port == 0 || ports.clone().count() == 0
                || ports.clone().any(|port| port == service.port)
                // The port of the other end alone was named.
                || self.filter.ends.iter().any(|end| end.port.is_none() && end.net.is_some()))
    }
}

fn protocol(word: &str) -> Option<u8> {
    PROTOCOLS.iter().find(|(name, _)| word.eq_ignore_ascii_case(name)).map(|(_, number)| *number)
}

fn end(word: &str) -> Option<TraceEndpoint> {
    let whole = |address: IpAddr| Some(IpNet::from(address.to_canonical()));
    if let Ok(address) = word.parse::<IpAddr>() {
        return Some(TraceEndpoint { net: whole(address), port: None });
    }
    let socket = word.parse::<SocketAddr>().ok()?;
    Some(TraceEndpoint {
        net: whole(socket.ip()),
        port: Some(socket.port()).filter(|&port| port > 0),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_an_end_and_a_flow_are_understood() {
        let one = |text: &str| Question::parse(&[text]).map(|question| question.filter);
        let end = |net: &str, port| TraceEndpoint { net: net.parse().ok(), port };
        let any = TraceEndpoint::default();
        for (text, ends, protocol) in [
            ("203.0.113.7", [end("203.0.113.7/32", None), any], None),
            ("::ffff:203.0.113.7", [end("203.0.113.7/32", None), any], None),
            ("203.0.113.7:443", [end("203.0.113.7/32", Some(443)), any], None),
            ("tcp [2001:db8::1]:443", [end("2001:db8::1/128", Some(443)), any], Some(6)),
            (
                "UDP 203.0.113.7:5000 192.0.2.1:53",
                [end("203.0.113.7/32", Some(5000)), end("192.0.2.1/32", Some(53))],
                Some(17),
            ),
        ] {
            assert_eq!(one(text), Ok(TraceFilter { ends, protocol }), "{text}");
        }
        assert_eq!(one("tcp"), Err(QuestionError::Ends(0)));
        assert_eq!(one("192.0.2.0/24"), Err(QuestionError::Word("192.0.2.0/24".into())));
        assert_eq!(one("web:80"), Err(QuestionError::Word("web:80".into())));
        assert_eq!(one("192.0.2.1 192.0.2.2 192.0.2.3"), Err(QuestionError::Ends(3)));
    }

    #[test]
    fn a_flow_is_asked_after_whichever_way_it_goes() {
        let question = Question::parse(&["tcp", "203.0.113.7", "192.0.2.1:80"]).expect("a flow");
        let end = |text: &str| {
            let end: SocketAddr = text.parse().expect("an end");
            (end.ip(), end.port())
        };
        let (far, near) = (end("203.0.113.7:4000"), end("192.0.2.1:80"));
        assert!(question.is_about(6, far, near) && question.is_about(6, near, far));
        assert!(!question.is_about(17, far, near));
        assert!(!question.is_about(6, far, end("192.0.2.1:81")));
    }
}

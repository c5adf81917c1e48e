//! Classes of attacks.

use serde::{Deserialize, Serialize};

macro_rules! classes {
    ($($(#[doc = $doc:literal])+ $class:ident = $name:literal,)+) => {
        /// The classes of attacks, as ground truth names them.
        ///
        /// All of them can be synthesised ([`crate::Synthesis`]);
        /// [`crate::AttackPlan::CLASSES`] are those that a lab plays live.
        #[derive(
            Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
        )]
        #[serde(rename_all = "snake_case")]
        pub enum AttackClass {
            $($(#[doc = $doc])+ $class,)+
        }

        impl AttackClass {
            /// All classes.
            pub const ALL: &[Self] = &[$(Self::$class,)+];

            /// The name used in scenarios and ground truth.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$class => $name,)+
                }
            }
        }
    };
}

classes! {
    /// Many ports asked with one SYN each.
    SynScan = "syn_scan",
    /// Ports asked one by one, seconds apart.
    LowAndSlowScan = "low_and_slow_scan",
    /// One port asked on many hosts.
    HorizontalScan = "horizontal_scan",
    /// Many ports asked with one datagram each.
    UdpScan = "udp_scan",
    /// A scan among frames of the same scan from addresses that are not the sender's.
    DecoyScan = "decoy_scan",
    /// Half-open connections from one real address.
    SynFlood = "syn_flood",
    /// Half-open connections from addresses that are not the sender's.
    SpoofedSynFlood = "spoofed_syn_flood",
    /// Datagrams to one port or to random ones.
    UdpFlood = "udp_flood",
    /// Echo requests.
    IcmpFlood = "icmp_flood",
    /// Many complete connections with one request each.
    ConnectionFlood = "connection_flood",
    /// Many requests that never end.
    SlowHttp = "slow_http",
    /// Many short logins with wrong passwords.
    SshBruteForce = "ssh_brute_force",
    /// Wrong passwords at any login service, seconds apart.
    SlowBruteForce = "slow_brute_force",
    /// Many requests for what a web server does not have.
    WebScan = "web_scan",
    /// The protected host sends much to the attacker.
    Exfiltration = "exfiltration",
    /// The protected host asks the attacker for orders every few seconds.
    Beaconing = "beaconing",
    /// The same within one connection that stays open.
    CommandChannel = "command_channel",
    /// A protected host asks one or two ports on many remotes.
    OutboundScan = "outbound_scan",
    /// A protected host talks to many peers, of which a part does not answer.
    PeerToPeer = "peer_to_peer",
    /// Messages in the names of DNS queries and the records of their answers.
    DnsTunnel = "dns_tunnel",
    /// Names asked in vain until one of them is the attacker's.
    DomainGeneration = "domain_generation",
    /// Messages in echo requests and their replies.
    IcmpTunnel = "icmp_tunnel",
}

impl AttackClass {
    /// True where the protected host opens the flows.
    #[must_use]
    pub const fn is_initiated_by_the_victim(self) -> bool {
        matches!(
            self,
            Self::Exfiltration
                | Self::Beaconing
                | Self::CommandChannel
                | Self::OutboundScan
                | Self::PeerToPeer
                | Self::DnsTunnel
                | Self::DomainGeneration
                | Self::IcmpTunnel
        )
    }
}

impl std::str::FromStr for AttackClass {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        Self::ALL.iter().copied().find(|class| class.name() == name).ok_or_else(|| {
            let known: Vec<_> = Self::ALL.iter().map(|class| class.name()).collect();
            format!("no class of attacks is called `{name}`; there are {}", known.join(", "))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_goes_by_one_name_everywhere() {
        for class in AttackClass::ALL {
            assert_eq!(serde_json::to_value(class).unwrap(), class.name());
            assert_eq!(class.name().parse(), Ok(*class));
        }
        let refused = "scan".parse::<AttackClass>().unwrap_err();
        assert!(refused.starts_with("no class of attacks is called `scan`; there are syn_scan, "));
    }
}

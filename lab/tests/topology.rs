//! A lab goes up and comes down, whatever happens to its owner.
#![expect(clippy::unwrap_used, reason = "a test says what it expects by failing")]

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use lab::{Family, Lab, Topology};

#[test]
fn every_member_reaches_the_host_in_both_families() {
    for topology in [
        Topology::default(),
        Topology { second_interface: true, offloads: false, ..Topology::default() },
    ] {
        let lab = Lab::build(&topology).unwrap();
        println!(
            "{:?}",
            lab.enter(lab.host(), || std::process::Command::new("sh")
                .args(["-c", "ip a; ip r; ip -6 r; ip n"])
                .output()
                .map(|o| println!("{}", String::from_utf8_lossy(&o.stdout))))
        );
        for family in [Family::V4, Family::V6] {
            for member in lab.clients().iter().chain(lab.attackers()) {
                let target = lab.host().interfaces[member.segment()].address(family);
                let address = SocketAddr::new(target, 7);
                let listener =
                    lab.enter(lab.host(), || TcpListener::bind(address)).unwrap().unwrap();
                let stream = lab
                    .enter(member, || TcpStream::connect_timeout(&address, Duration::from_secs(2)))
                    .unwrap()
                    .unwrap();
                let (_, seen) = listener.accept().unwrap();
                assert_eq!(seen.ip(), member.address(family));
                drop(stream);
            }
        }
    }
}

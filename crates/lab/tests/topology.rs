//! A lab goes up and comes down, whatever happens to its owner.

mod common;

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use common::lab_or_skip;
use lab::{Family, Lab, LabError, Topology};

/// Set where this program is started again to own a lab until it is killed.
const OWNER: &str = "WEIR_LAB_TEST_OWNER";
/// Set where it is started again without any rights.
const POWERLESS: &str = "WEIR_LAB_TEST_POWERLESS";

fn namespaces_of(id: &str) -> Vec<String> {
    let prefix = format!("weir-{id}-");
    std::fs::read_dir("/run/netns")
        .into_iter()
        .flatten()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with(&prefix))
        .collect()
}

fn is_registered(id: &str) -> bool {
    Lab::registered().iter().any(|lab| lab.id == id)
}

/// An id that no other test that runs now has.
fn own_id(test: &str) -> String {
    format!("{test}{:x}", std::process::id())
}

/// Starts this program again for one of its tests.
fn again(test: &str, variable: &str, value: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--nocapture"]).env(variable, value);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

#[test]
fn every_member_reaches_the_host_in_both_families() {
    for topology in [
        Topology::default(),
        Topology { second_interface: true, offloads: false, ..Topology::default() },
    ] {
        let Some(lab) = lab_or_skip(&topology) else { return };
        for family in [Family::V4, Family::V6] {
            for member in lab.clients().iter().chain(lab.attackers()) {
                let target = lab.host().interfaces[member.segment()].address(family);
                let address = SocketAddr::new(target, 7);
                let listener = lab.enter(lab.host(), || TcpListener::bind(address)).unwrap();
                let listener = listener.unwrap();
                let patience = Duration::from_secs(2);
                let stream =
                    lab.enter(member, || TcpStream::connect_timeout(&address, patience)).unwrap();
                stream.unwrap();
                assert_eq!(listener.accept().unwrap().1.ip(), member.address(family));
            }
        }
    }
}

#[test]
fn a_lab_that_is_removed_leaves_nothing() {
    let Some(lab) = lab_or_skip(&Topology::default()) else { return };
    let id = lab.id().to_owned();
    assert_eq!(namespaces_of(&id).len(), 1 + 1 + 6 + 2);
    assert!(is_registered(&id));
    lab.serve().unwrap();
    lab.remove().unwrap();
    assert_eq!(namespaces_of(&id), Vec::<String>::new());
    assert!(!is_registered(&id));
}

#[test]
fn a_lab_whose_owner_panics_leaves_nothing() {
    let Some(lab) = lab_or_skip(&Topology::default()) else { return };
    let id = lab.id().to_owned();
    let owner = std::thread::spawn(move || {
        let _lab = lab;
        panic!("on purpose");
    });
    owner.join().unwrap_err();
    assert_eq!(namespaces_of(&id), Vec::<String>::new());
}

#[test]
fn a_member_sees_its_own_interfaces_only() {
    let topology = Topology { second_interface: true, ..Topology::default() };
    let Some(lab) = lab_or_skip(&topology) else { return };
    let names = |node| {
        let list = || -> Vec<String> {
            let all = nix::net::if_::if_nameindex().unwrap();
            all.iter().map(|link| link.name().to_str().unwrap().to_owned()).collect()
        };
        lab.enter(node, list).unwrap()
    };
    assert_eq!(names(lab.host()), ["lo", "eth0", "eth1"]);
    assert_eq!(names(&lab.clients()[0]), ["lo", "eth0"]);
}

#[test]
fn a_lab_without_offloads_has_none_on_either_end_of_a_cable() {
    let Some(ethtool) = test_support::program("ethtool") else { return };
    let topology = Topology { offloads: false, clients: 1, attackers: 0, ..Topology::default() };
    let Some(lab) = lab_or_skip(&topology) else { return };
    let switched_on = |namespace: &str, interface: &str| {
        let listed = Command::new("ip")
            .args(["netns", "exec", namespace, ethtool.to_str().unwrap(), "-k", interface])
            .output()
            .unwrap();
        let listed = String::from_utf8(listed.stdout).unwrap();
        assert!(listed.contains("generic-receive-offload"), "{listed}");
        let wanted = [
            "rx-checksumming: on",
            "tx-checksumming: on",
            "tx-tcp-segmentation: on",
            "tx-tcp6-segmentation: on",
            "generic-segmentation-offload: on",
            "generic-receive-offload: on",
            "tx-vlan-offload: on",
            "rx-vlan-offload: on",
        ];
        wanted.into_iter().filter(|line| listed.contains(line)).collect::<Vec<_>>()
    };
    if test_support::program("ip").is_none() {
        return;
    }
    let switch = lab.host().namespace.replace("-host", "-switch");
    for (namespace, interface) in
        [(&lab.host().namespace, "eth0"), (&lab.clients()[0].namespace, "eth0"), (&switch, "host")]
    {
        assert_eq!(switched_on(namespace, interface), Vec::<&str>::new(), "{namespace}");
    }
}

#[test]
fn an_id_is_taken_once() {
    let topology = Topology { id: Some(own_id("t")), ..Topology::default() };
    let Some(lab) = lab_or_skip(&topology) else { return };
    let again = Lab::build(&topology).unwrap_err();
    assert!(matches!(&again, LabError::IdTaken { id } if id == lab.id()), "{again}");
    assert_eq!(namespaces_of(lab.id()).len(), 1 + 1 + 6 + 2, "the first one is untouched");
}

#[test]
fn a_namespace_of_someone_else_is_not_taken_over() {
    if !test_support::root() {
        return;
    }
    let id = own_id("s");
    let strange = format!("/run/netns/weir-{id}-host");
    std::fs::create_dir_all("/run/netns").unwrap();
    std::fs::write(&strange, "").unwrap();
    let error = Lab::build(&Topology { id: Some(id.clone()), ..Topology::default() }).unwrap_err();
    let kept = Path::new(&strange).exists();
    std::fs::remove_file(&strange).unwrap();
    assert!(matches!(error, LabError::NamespaceTaken { .. }), "{error}");
    assert!(kept);
    assert!(!is_registered(&id));
}

#[test]
fn a_lab_whose_owner_was_killed_is_listed_and_removed() {
    if let Ok(id) = std::env::var(OWNER) {
        own_until_killed(id);
    }
    if !test_support::root() {
        return;
    }
    let id = own_id("k");
    let test = "a_lab_whose_owner_was_killed_is_listed_and_removed";
    let mut owner = again(test, OWNER, &id).spawn().unwrap();
    wait_for_registration(&mut owner, &id);
    let refused = Lab::remove_leftover(&id).unwrap_err();
    assert!(matches!(refused, LabError::OwnerAlive { pid, .. } if pid == owner.id()), "{refused}");

    owner.kill().unwrap();
    owner.wait().unwrap();
    assert!(Lab::leftovers().iter().any(|lab| lab.id == id));
    assert!(!namespaces_of(&id).is_empty());
    // Others may be removing leftovers at the same moment, which is as good.
    match Lab::remove_leftover(&id) {
        Ok(()) | Err(LabError::UnknownLab { .. }) => {}
        Err(error) => panic!("{error}"),
    }
    assert_eq!(namespaces_of(&id), Vec::<String>::new());
    assert!(!is_registered(&id));
    Lab::remove_leftovers().unwrap();
}

/// Builds a lab, and ends only with the process.
fn own_until_killed(id: String) -> ! {
    let _lab = Lab::build(&Topology { id: Some(id), ..Topology::default() }).unwrap();
    std::thread::sleep(Duration::from_mins(1));
    panic!("nobody killed the owner");
}

/// Waits until the lab of another process is wholly built.
fn wait_for_registration(owner: &mut Child, id: &str) {
    let patience = Instant::now() + Duration::from_secs(20);
    while namespaces_of(id).len() < 1 + 1 + 6 + 2 {
        assert!(Instant::now() < patience, "the owner built nothing");
        assert!(owner.try_wait().unwrap().is_none(), "the owner ended");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_process_without_rights_is_told_what_it_lacks() {
    if std::env::var(POWERLESS).is_ok() {
        let error = Lab::build(&Topology::default()).unwrap_err();
        assert!(matches!(error, LabError::Permission), "{error}");
        assert!(error.is_unavailable());
        return;
    }
    if !test_support::root() {
        return;
    }
    let test = "a_process_without_rights_is_told_what_it_lacks";
    // 65534 is nobody.
    match again(test, POWERLESS, "1").uid(65_534).gid(65_534).output() {
        Ok(output) => {
            let told = String::from_utf8_lossy(&output.stdout).into_owned();
            assert!(output.status.success(), "{told}");
        }
        Err(error) => test_support::skip(&format!("nobody may not run this program: {error}")),
    }
}

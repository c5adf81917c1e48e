//! The XDP hook shared with programs of libxdp's: xdp-tools' own, in either order, without a gap.

use std::{
    io,
    os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd},
    process::Command,
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use nix::{
    mount::{MntFlags, MsFlags, mount, umount2},
    sched::CloneFlags,
};

use crate::{
    pins::{BpfFs, block, blocked},
    support::{LOCAL, NEAR, Wire, attached, host, near, udp_v4},
};
use weir_datapath::{
    Attached, GuardHook, Kernel, KernelError, Sharing, TcHook, XdpPreference, boot_ns, leftovers,
    neighbours, take_everything_off, unpin_all,
};

const MINUTE: u64 = 60_000_000_000;
/// A program of xdp-tools', which drops what it has a rule for.
const FILTER: &str = "xdpfilt_alw_ip";

fn is_possible() -> bool {
    test_support::root()
        && ["xdp-filter", "xdp-loader"].iter().all(|one| test_support::program(one).is_some())
}

/// True where the kernel lets programs share the hook; otherwise the test is counted as skipped.
fn is_shared(attached: &Attached) -> bool {
    match &attached.sharing {
        Sharing::Dispatcher => true,
        Sharing::Exclusive { reason } if reason.contains("the kernel takes no") => {
            test_support::skip(reason);
            false
        }
        _ => match &attached.guard {
            // There xdp-filter does not share it either.
            GuardHook::TcIngress { reason } if reason.contains("has the hook for itself") => {
                test_support::skip(reason);
                false
            }
            other => panic!("{other:?}"),
        },
    }
}

/// A wire with a BPF filesystem where libxdp looks for it.
struct Site<'a> {
    wire: &'a Wire,
    bpffs: &'a BpfFs,
}

impl Site<'_> {
    fn weir(&self) -> (Kernel, Attached) {
        self.weir_at(XdpPreference::Auto).expect("attached")
    }

    /// weir, which drops what comes from host 1.
    fn weir_at(&self, preference: XdpPreference) -> Result<(Kernel, Attached), KernelError> {
        let (kernel, attached) = attached(&self.bpffs.options(), preference)?;
        kernel.blocklist().insert(blocked(1), &block(MINUTE), boot_ns())?;
        Ok((kernel, attached))
    }

    /// xdp-filter, which drops what comes from host 2.
    fn load_filter(&self) {
        self.tool(&format!("xdp-filter load -f ipv4 {NEAR}"));
        self.tool("xdp-filter ip -m src 198.51.100.2");
    }

    /// A command of xdp-tools', which must succeed.
    fn tool(&self, command: &str) -> String {
        let script = format!("mount --bind {} /sys/fs/bpf && {command}", self.bpffs.0.display());
        let output = Command::new("ip")
            .args(["netns", "exec", self.wire.near(), "sh", "-c", &script])
            .output()
            .expect("a shell");
        let told = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
        assert!(output.status.success(), "{command}: {}", told.concat());
        told.concat()
    }

    /// The programs of the hook as xdp-loader lists them: in the order in which they run.
    fn listed(&self) -> Vec<&'static str> {
        let status = self.tool(&format!("xdp-loader status {NEAR}"));
        let at = |name: &'static str| Some((status.find(name)?, name));
        let mut found: Vec<_> =
            ["xdp_dispatcher", "xdp_guard", FILTER].into_iter().filter_map(at).collect();
        found.sort_unstable();
        found.into_iter().map(|(_, name)| name).collect()
    }

    /// Those of others, as weir tells of them.
    fn others(&self) -> Vec<String> {
        let found = neighbours(&self.bpffs.0, &near(), None).expect("a list");
        let at_xdp = found.iter().filter(|one| one.hook == "XDP");
        at_xdp.map(|one| one.name.split(' ').next().unwrap_or_default().to_owned()).collect()
    }

    fn dispatchers(&self) -> usize {
        std::fs::read_dir(self.bpffs.0.join("xdp")).map_or(0, Iterator::count)
    }

    /// Of frames from hosts 1, 2 and 3 those that came through, of each of them.
    fn passed(&self) -> [u32; 3] {
        let seen = Observer::open();
        let network = self.wire.network_end();
        for last in [1, 2] {
            network.send_times(&from(last), 4);
        }
        network.send_times(&from(3), 4);
        let mut passed = [0; 3];
        let until = Instant::now() + Duration::from_secs(10);
        while passed[2] < 4 && Instant::now() < until {
            seen.count(&mut passed);
        }
        passed
    }

    /// Runs `body` while frames from a host come in without a pause; how many passed, of how many.
    fn under_fire(&self, last: u8, body: impl FnOnce()) -> (u32, u32) {
        let (network, seen) = (self.wire.network_end(), Observer::open());
        let (over, frame) = (AtomicBool::new(false), from(last));
        let sent = std::thread::scope(|scope| {
            let sender = scope.spawn(|| {
                let mut sent = 0;
                while !over.load(Ordering::Relaxed) {
                    // The other end may have no room for it.
                    sent += u32::from(network.try_send(&frame) > 0);
                }
                while network.try_send(&from(3)) < 0 {}
                sent
            });
            let ending = Ending(&over);
            body();
            drop(ending);
            sender.join().expect("it sends")
        });
        let mut passed = [0; 3];
        let until = Instant::now() + Duration::from_secs(10);
        while passed[2] == 0 && Instant::now() < until {
            seen.count(&mut passed);
        }
        assert_eq!(passed[2], 1, "the last frame, of another host");
        (passed[usize::from(last) - 1], sent)
    }
}

/// Ends the sending, also where an assertion fails.
struct Ending<'a>(&'a AtomicBool);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn from(last: u8) -> Vec<u8> {
    udp_v4(host(last), LOCAL, [1000, 53])
}

/// A packet socket behind both hooks at ingress, XDP and TC.
struct Observer(OwnedFd);

impl Observer {
    fn open() -> Self {
        let ipv4 = 0x0800_u16.to_be();
        let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
        // SAFETY: no pointers.
        let socket = unsafe { libc::socket(libc::AF_PACKET, kind, libc::c_int::from(ipv4)) };
        assert!(socket >= 0, "packet socket: {}", io::Error::last_os_error());
        // SAFETY: a descriptor just made.
        Self(unsafe { OwnedFd::from_raw_fd(socket) })
    }

    /// Counts what came from hosts 1, 2 and 3.
    fn count(&self, passed: &mut [u32; 3]) {
        let mut frame = [0_u8; 64];
        loop {
            // SAFETY: the buffer is ours and as long as said.
            let read = unsafe {
                libc::recv(self.0.as_raw_fd(), frame.as_mut_ptr().cast(), frame.len(), 0)
            };
            if read < 30 {
                return;
            }
            if let [198, 51, 100, last @ 1..=3] = frame[26..30] {
                passed[usize::from(last) - 1] += 1;
            }
        }
    }
}

#[test]
fn weir_and_xdp_filter_share_the_hook_in_either_order_and_each_leaves_the_other_there() {
    if !is_possible() {
        return;
    }
    for weir_first in [true, false] {
        let bpffs = BpfFs::mount("order");
        Wire::new().run(|wire| {
            let site = Site { wire, bpffs: &bpffs };
            if !weir_first {
                site.load_filter();
            }
            let (mut kernel, attached) = site.weir();
            if !is_shared(&attached) {
                return;
            }
            assert_eq!(attached.guard, GuardHook::XdpNative);
            if weir_first {
                assert_eq!(site.listed(), ["xdp_dispatcher", "xdp_guard"]);
                assert_eq!(site.passed(), [0, 4, 4]);
                site.load_filter();
            }
            assert_eq!(site.listed(), ["xdp_dispatcher", "xdp_guard", FILTER]);
            assert_eq!(site.others(), [FILTER]);
            assert_eq!(site.passed(), [0, 0, 4]);

            if weir_first {
                site.tool(&format!("xdp-filter unload {NEAR}"));
                assert_eq!(site.listed(), ["xdp_dispatcher", "xdp_guard"]);
                assert_eq!(site.passed(), [0, 4, 4]);
                kernel.detach(&near()).expect("detached");
            } else {
                kernel.detach(&near()).expect("detached");
                assert_eq!(site.listed(), ["xdp_dispatcher", FILTER]);
                assert_eq!(site.passed(), [4, 0, 4]);
                site.tool(&format!("xdp-filter unload {NEAR}"));
            }
            assert_eq!((site.listed(), site.dispatchers()), (Vec::new(), 0));
        });
    }
}

#[test]
fn no_frame_passes_either_by_while_the_other_comes_goes_and_is_replaced() {
    if !is_possible() {
        return;
    }
    let bpffs = BpfFs::mount("gap");
    Wire::new().run(|wire| {
        let site = Site { wire, bpffs: &bpffs };
        let (kernel, attached) = site.weir();
        if !is_shared(&attached) {
            return;
        }
        let (passed, sent) = site.under_fire(1, || {
            site.load_filter();
            // Another weir takes over, then xdp-filter goes.
            drop(kernel);
            for _ in 0..2 {
                let (kernel, attached) = site.weir();
                assert!(matches!(attached.sharing, Sharing::Dispatcher), "{attached:?}");
                drop(kernel);
            }
            site.tool(&format!("xdp-filter unload {NEAR}"));
        });
        assert!(passed == 0 && sent > 0, "{passed} of {sent} from a source that weir blocks");

        site.load_filter();
        let (passed, sent) = site.under_fire(2, || {
            // What a weir that is gone left goes by hand; then one comes, and goes by the emergency
            // stop.
            assert_eq!(leftovers(&bpffs.0).expect("a list").guarded_interfaces().len(), 1);
            unpin_all(&bpffs.0).expect("removed");
            assert_eq!(site.listed(), ["xdp_dispatcher", FILTER]);
            let (kernel, _) = site.weir();
            let taken = take_everything_off(&bpffs.0, false).expect("a list");
            assert!(taken.hooks.contains(&format!("{NEAR} xdp_guard")), "{taken:?}");
            assert_eq!(taken.left, [""; 0]);
            assert_eq!(site.listed(), ["xdp_dispatcher", FILTER]);
            drop(kernel);
        });
        assert!(passed == 0 && sent > 0, "{passed} of {sent} from a source xdp-filter blocks");
        assert_eq!(site.passed(), [4, 0, 4]);
    });
}

#[test]
fn a_guard_that_had_the_hook_for_itself_shares_it_and_takes_it_back_without_a_gap() {
    if !is_possible() {
        return;
    }
    let bpffs = BpfFs::mount("alone");
    Wire::new().run(|wire| {
        let site = Site { wire, bpffs: &bpffs };
        let start = |preference| site.weir_at(preference).expect("attached");
        let (kernel, attached) = start(XdpPreference::Exclusive);
        assert_eq!(attached.sharing, Sharing::Exclusive { reason: String::new() });
        drop(kernel);
        let (kernel, attached) = start(XdpPreference::Auto);
        if !is_shared(&attached) {
            return;
        }
        drop(kernel);
        // A clsact filter ends with its process.
        let stays_at_tc = attached.tc == TcHook::Tcx;
        let (passed, sent) = site.under_fire(1, || {
            for preference in [XdpPreference::Exclusive, XdpPreference::Auto] {
                let (kernel, attached) = start(preference);
                let shares = matches!(attached.sharing, Sharing::Dispatcher);
                assert_eq!(shares, preference == XdpPreference::Auto, "{attached:?}");
                assert_eq!(site.dispatchers(), usize::from(shares));
                drop(kernel);
            }
            if stays_at_tc {
                let (kernel, attached) = start(XdpPreference::TcIngress);
                assert!(matches!(attached.guard, GuardHook::TcIngress { .. }), "{attached:?}");
                assert_eq!(site.listed(), [""; 0]);
                drop(kernel);
            }
        });
        assert!(passed == 0 && sent > 0, "{passed} of {sent}");

        if !stays_at_tc {
            unpin_all(&bpffs.0).expect("removed");
        }
        // Who insists on the hook for itself does not get it beside another.
        site.load_filter();
        let error = site.weir_at(XdpPreference::Exclusive).map(drop).expect_err("it is taken");
        assert!(matches!(error, KernelError::XdpOccupied { .. }), "{error}");
        let of_before = if stays_at_tc { 0 } else { 4 };
        assert_eq!(site.passed(), [of_before, 0, 4], "the guard of before is at TC");
        drop(start(XdpPreference::Auto));
        let error = site.weir_at(XdpPreference::Exclusive).map(drop).expect_err("it is taken");
        assert!(matches!(error, KernelError::XdpOccupied { .. }), "{error}");
        assert_eq!(site.passed(), [0, 0, 4], "the guard of before is where it was");
    });
}

/// As where the kernel takes no program behind a dispatcher: nobody can come beside the guard then.
#[test]
fn a_guard_that_can_share_the_hook_no_more_has_it_for_itself_without_a_gap() {
    const LIBRARY: &str = "/usr/lib/x86_64-linux-gnu/bpf";
    if !is_possible() {
        return;
    }
    if !std::path::Path::new(LIBRARY).is_dir() {
        return test_support::skip(&format!("libxdp's objects are not in {LIBRARY}"));
    }
    let bpffs = BpfFs::mount("hidden");
    Wire::new().run(|wire| {
        let site = Site { wire, bpffs: &bpffs };
        let (kernel, attached) = site.weir();
        if !is_shared(&attached) {
            return;
        }
        drop(kernel);
        // Seen by this thread and its children alone.
        nix::sched::unshare(CloneFlags::CLONE_NEWNS).expect("mounts of its own");
        let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
        mount(None::<&str>, "/", None::<&str>, private, None::<&str>).expect("private");
        mount(Some("none"), LIBRARY, Some("tmpfs"), MsFlags::empty(), None::<&str>).expect("it");
        let (passed, sent) = site.under_fire(1, || {
            // The second is an upgrade: its program goes into the link of the first.
            for _ in 0..2 {
                let (kernel, attached) = site.weir();
                let Sharing::Exclusive { reason } = &attached.sharing else {
                    panic!("{attached:?}")
                };
                assert_eq!(reason, "libxdp is not installed");
                assert_eq!((attached.guard, site.dispatchers()), (GuardHook::XdpNative, 0));
                drop(kernel);
            }
            umount2(LIBRARY, MntFlags::empty()).expect("it is back");
            assert_eq!(site.weir().1.sharing, Sharing::Dispatcher);
        });
        assert!(passed == 0 && sent > 0, "{passed} of {sent}");
    });
}

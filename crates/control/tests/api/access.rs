//! Access of users and tokens, over real sockets.

use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use control::{
    Client, ClientError, Listen, Server, ServerConfig, StartError,
    token::{NewToken, Scope},
    wire::{Kind, Mode, ModeRequest},
};

use crate::support::{Bench, ask, busy, generous, loopback};

const BLOCK: &str = r#"{"target":"192.0.2.1"}"#;

/// A tokens file with a token for each scope.
fn tokens(folder: &Path) -> (PathBuf, [String; 2]) {
    let made = [1, 2].map(|byte| NewToken::from_bytes([byte; 32]));
    let text = made[0].entry("grafana", &BTreeSet::from([Scope::Read]))
        + &made[1].entry("pager", &BTreeSet::from([Scope::Write]));
    let path = folder.join("tokens.toml");
    write(&path, &text);
    (path, made.map(|token| format!("Authorization: Bearer {}", token.text())))
}

fn write(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

#[test]
fn without_a_token_http_is_read_only() {
    let bench = Bench::new();
    assert_eq!(ask(bench.tcp(), "GET /v1/status", &[], "").status, 200);
    let json = ["Content-Type: application/json"];
    let refused = ask(bench.tcp(), "POST /v1/blocks", &json, BLOCK);
    refused.assert_problem(401, "weir token new");
    assert_eq!(refused.header("www-authenticate"), Some("bearer"));
    assert_eq!(bench.node.acts(), []);
}

#[test]
fn a_token_does_what_its_scope_says_under_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let (path, [reader, writer]) = tokens(folder.path());
    let bench = Bench::listening(generous(), Some(loopback(Some(path))));
    let json = "Content-Type: application/json";
    assert_eq!(ask(bench.tcp(), "GET /v1/status", &[&reader], "").status, 200);
    ask(bench.tcp(), "POST /v1/blocks", &[&reader, json], BLOCK).assert_problem(403, "`grafana`");
    let made = ask(bench.tcp(), "POST /v1/blocks", &[&writer, json], BLOCK);
    assert_eq!(made.json()["who"], "token pager from 127.0.0.1");
    assert_eq!(bench.node.acts().len(), 1);
    assert_eq!(bench.node.clients(), [std::net::Ipv4Addr::LOCALHOST; 2]);
    for wrong in ["Authorization: Bearer weir_00", "Authorization: Basic YTpi"] {
        assert_eq!(ask(bench.tcp(), "GET /v1/status", &[wrong], "").status, 401, "{wrong}");
    }
}

#[test]
fn a_loopback_address_wants_a_token_for_reads_unless_told_otherwise() {
    let folder = tempfile::tempdir().unwrap();
    let (path, [reader, _]) = tokens(folder.path());
    for reads_open in [false, true] {
        let listen = Listen { reads_open, ..loopback(Some(path.clone())) };
        let bench = Bench::listening(generous(), Some(listen));
        let without = if reads_open { 200 } else { 401 };
        for path in ["/v1/status", "/v1/alerts", "/openapi.json", "/metrics", "/livez"] {
            let line = format!("GET {path}");
            assert_eq!(ask(bench.tcp(), &line, &[], "").status, without, "{path}, {reads_open}");
            assert_eq!(ask(bench.tcp(), &line, &[&reader], "").status, 200, "{path}");
        }
    }
}

#[test]
fn a_reload_takes_tokens_back() {
    let folder = tempfile::tempdir().unwrap();
    let (path, [reader, _]) = tokens(folder.path());
    let bench = Bench::listening(generous(), Some(loopback(Some(path.clone()))));
    write(&path, "[[token]]\n");
    let Err(ClientError::Refused(refused)) = bench.client().reload() else { panic!() };
    assert_eq!(refused.kind, Kind::Conflict);
    assert_eq!(ask(bench.tcp(), "GET /v1/status", &[&reader], "").status, 200);
    write(&path, "");
    bench.client().reload().unwrap();
    assert_eq!(ask(bench.tcp(), "GET /v1/status", &[&reader], "").status, 401);
}

#[test]
fn an_address_that_others_reach_is_not_listened_on_without_tokens() {
    let folder = tempfile::tempdir().unwrap();
    let empty = folder.path().join("empty.toml");
    write(&empty, "");
    for (address, tokens) in
        [("0.0.0.0:0", None), ("[::]:0", None), ("192.0.2.1:80", None), ("0.0.0.0:0", Some(empty))]
    {
        let listen = Listen {
            address: address.parse().unwrap(),
            tokens,
            reads_open: false,
            metrics_open: true,
        };
        let socket = folder.path().join("weir.sock");
        let config = ServerConfig {
            socket: socket.clone(),
            group: None,
            listen: Some(listen),
            limits: generous(),
        };
        let error = Server::start(&config, busy()).unwrap_err();
        assert!(matches!(error, StartError::Unprotected { .. }), "{error}");
        assert!(error.to_string().contains(address) && error.to_string().contains("127.0.0.1"));
        assert!(!socket.exists());
    }
}

/// Runs in a network of its own that holds nothing but a loopback interface.
fn alone(act: impl FnOnce() + Send) {
    let act = || {
        nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET).expect("a network namespace");
        let up = std::process::Command::new("ip").args(["link", "set", "lo", "up"]).status();
        assert!(up.expect("ip runs").success());
        act();
    };
    std::thread::scope(|scope| scope.spawn(act).join().expect("no panic"));
}

#[test]
fn an_address_that_others_reach_wants_a_token_for_everything() {
    if !test_support::root() || test_support::program("ip").is_none() {
        return;
    }
    alone(ask_for_everything);
}

fn ask_for_everything() {
    let folder = tempfile::tempdir().unwrap();
    let (path, [reader, _]) = tokens(folder.path());
    for metrics_open in [false, true] {
        let listen = Listen {
            address: "0.0.0.0:0".parse().unwrap(),
            tokens: Some(path.clone()),
            reads_open: false,
            metrics_open,
        };
        let bench = Bench::listening(generous(), Some(listen));
        let port = bench.server.address().unwrap().port();
        let connect = || crate::support::tcp(([127, 0, 0, 1], port).into());
        let open = if metrics_open { 200 } else { 401 };
        for path in ["/metrics", "/livez", "/readyz"] {
            assert_eq!(ask(connect(), &format!("GET {path}"), &[], "").status, open);
        }
        for path in ["/v1/status", "/openapi.json"] {
            assert_eq!(ask(connect(), &format!("GET {path}"), &[], "").status, 401);
        }
        assert_eq!(ask(connect(), "GET /v1/status", &[&reader], "").status, 200);
    }
}

#[test]
fn a_page_that_rebinds_its_name_is_not_answered() {
    use std::io::Write as _;
    let bench = Bench::new();
    for host in ["Host: evil.example\r\n", "Host: 192.0.2.1\r\n"] {
        let mut stream = bench.tcp();
        let text = format!("GET /v1/status HTTP/1.1\r\n{host}Connection: close\r\n\r\n");
        stream.write_all(text.as_bytes()).unwrap();
        crate::support::reply(stream).assert_problem(403, "`Host`");
    }
}

/// Runs as another user and group; only the calling thread changes, and it ends here.
fn as_stranger<T: Send>(uid: u32, gid: u32, act: impl FnOnce() -> T + Send) -> T {
    let act = move || {
        // SAFETY: the raw calls change the credentials of this thread alone, which holds nothing
        // that others rely on; they take integers and a null pointer for an empty list.
        let changed = unsafe {
            libc::syscall(libc::SYS_setgroups, 0, std::ptr::null::<libc::gid_t>())
                | libc::syscall(libc::SYS_setresgid, gid, gid, gid)
                | libc::syscall(libc::SYS_setresuid, uid, uid, uid)
        };
        assert_eq!(changed, 0, "{}", std::io::Error::last_os_error());
        act()
    };
    std::thread::scope(|scope| scope.spawn(act).join().expect("no panic"))
}

#[test]
fn another_user_of_the_group_reads_and_does_not_change_and_others_do_neither() {
    if !test_support::root() {
        return;
    }
    let Some(group) = nix::unistd::Group::from_name("nogroup").unwrap() else {
        test_support::skip("there is no group `nogroup`");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let socket = folder.path().join("weir.sock");
    let node = busy();
    let config = ServerConfig {
        socket: socket.clone(),
        group: Some("nogroup".into()),
        listen: None,
        limits: generous(),
    };
    let server = Server::start(&config, Arc::clone(&node) as _).unwrap();
    let (stranger, gid) = (65_534, group.gid.as_raw());
    let refused = as_stranger(stranger, gid, || {
        let client = Client::unix(&socket).unwrap();
        client.status().expect("the group reads");
        client.set_mode(&ModeRequest { mode: Mode::Observe, confirm_within_s: None }).unwrap_err()
    });
    let ClientError::Refused(refused) = refused else { panic!("{refused}") };
    assert_eq!(refused.kind, Kind::Forbidden);
    assert!(refused.text.contains("uid 65534"), "{refused}");
    assert_eq!(node.acts(), []);

    let denied = as_stranger(stranger, 12_345, || {
        Client::unix(&socket).unwrap().status().unwrap_err().to_string()
    });
    assert!(denied.contains("`nogroup`") && denied.contains("sudo"), "{denied}");
    server.stop();
}

//! The socket's file: made, replaced, refused and removed.

use std::{
    fs,
    os::unix::{fs::PermissionsExt as _, net::UnixListener},
};

use control::{BindError, Client, ClientError, Server, ServerConfig, StartError};

use crate::support::{Bench, busy, generous};

fn config(bench: &Bench) -> ServerConfig {
    let socket = bench.server.socket().to_owned();
    ServerConfig { socket, group: None, listen: None, limits: generous() }
}

fn why(error: StartError) -> BindError {
    match error {
        StartError::Bind(error) => error,
        other => panic!("{other}"),
    }
}

#[test]
fn only_owner_and_group_open_it_and_it_goes_with_the_server() {
    let bench = Bench::new();
    let socket = bench.server.socket().to_owned();
    let mode = fs::metadata(&socket).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o660);
    assert_eq!(fs::read_dir(bench.folder.path()).unwrap().count(), 1, "something was left beside");
    let client = bench.client();
    bench.server.stop();
    assert!(!socket.exists());
    let error = client.status().unwrap_err();
    assert!(matches!(error, ClientError::NoNode { .. }));
    assert!(error.to_string().contains("no weir runs here"), "{error}");
}

#[test]
fn a_socket_that_somebody_listens_on_is_left_to_them() {
    let bench = Bench::new();
    let error = why(Server::start(&config(&bench), busy()).unwrap_err());
    assert!(matches!(error, BindError::Taken { .. }));
    let pid = std::process::id().to_string();
    assert!(error.to_string().contains(&pid), "{error}");
    bench.client().status().expect("the first still answers");
}

#[test]
fn the_socket_of_a_dead_process_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("run/weir.sock");
    fs::create_dir(folder.path().join("run")).unwrap();
    drop(UnixListener::bind(&socket).unwrap());
    assert!(socket.exists(), "a socket outlives its process");
    let config = ServerConfig { socket, group: None, listen: None, limits: generous() };
    let server = Server::start(&config, busy()).unwrap();
    Client::unix(server.socket()).unwrap().status().unwrap();
}

#[test]
fn what_is_no_socket_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("weir.sock");
    fs::write(&socket, "precious").unwrap();
    let config =
        ServerConfig { socket: socket.clone(), group: None, listen: None, limits: generous() };
    let error = why(Server::start(&config, busy()).unwrap_err());
    assert!(matches!(error, BindError::NoSocket { .. }), "{error}");
    assert_eq!(fs::read_to_string(socket).unwrap(), "precious");
}

#[test]
fn a_group_that_is_not_there_and_a_path_too_long_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("weir.sock");
    let group = Some("no-such-group".to_owned());
    let config = ServerConfig { socket, group, listen: None, limits: generous() };
    let error = why(Server::start(&config, busy()).unwrap_err()).to_string();
    assert!(error.contains("`no-such-group`") && error.contains("groupadd"), "{error}");
    let socket = folder.path().join("x".repeat(120));
    let config = ServerConfig { socket, group: None, listen: None, limits: generous() };
    let error = why(Server::start(&config, busy()).unwrap_err());
    assert!(matches!(error, BindError::TooLong { .. }), "{error}");
}

#[test]
fn its_folder_is_made() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("weir/weir.sock");
    let config = ServerConfig { socket, group: None, listen: None, limits: generous() };
    let server = Server::start(&config, busy()).unwrap();
    Client::unix(server.socket()).unwrap().status().unwrap();
}

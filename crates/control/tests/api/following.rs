//! Those who follow the events.

use std::{
    io::{Read as _, Write as _},
    ops::ControlFlow,
    thread,
    time::{Duration, Instant},
};

use control::{ClientError, Followed, Limits, Node as _, wire::EventsQuery};

use crate::support::{Bench, ask, generous};

/// The next so many things that a client is told, behind an event or as they come.
fn told(bench: &Bench, after: Option<&str>, number: usize) -> Vec<Followed> {
    let mut told = Vec::new();
    let followed = bench.client().follow(after.map(str::to_owned), |one| {
        told.push(one);
        if told.len() == number { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    followed.unwrap();
    told
}

fn id_and_json(one: &Followed) -> (&str, &str) {
    match one {
        Followed::Event { id, json } => (id, json),
        _ => panic!("no event: {one:?}"),
    }
}

#[test]
fn a_follower_comes_back_to_where_it_was() {
    let bench = Bench::new();
    let feed = bench.node.feed();
    for number in 0..3 {
        feed.push(&format!(r#"{{"n":{number}}}"#));
    }
    let first = told(&bench, Some(EventsQuery::START), 2);
    let lines: Vec<&str> = first.iter().map(|one| id_and_json(one).1).collect();
    assert_eq!(lines, [r#"{"n":0}"#, r#"{"n":1}"#]);
    let rest = told(&bench, Some(id_and_json(&first[1]).0), 1);
    assert_eq!(id_and_json(&rest[0]).1, r#"{"n":2}"#);
}

#[test]
fn events_arrive_as_they_come_and_what_was_before_does_not() {
    let bench = Bench::new();
    let feed = bench.node.feed();
    feed.push("before");
    thread::scope(|scope| {
        let follower = scope.spawn(|| told(&bench, None, 1));
        // It is told of those pushed once it is there, whichever is the first.
        while !follower.is_finished() {
            feed.push("after");
            thread::sleep(Duration::from_millis(5));
        }
        assert_eq!(id_and_json(&follower.join().unwrap()[0]).1, "after");
    });
}

#[test]
fn a_browser_comes_back_with_a_header() {
    let limits = Limits { connection_time: Duration::from_millis(4_200), ..generous() };
    let bench = Bench::with(limits);
    let feed = bench.node.feed();
    feed.push("1");
    feed.push("2");
    let first = told(&bench, Some(EventsQuery::START), 1);
    let header = format!("Last-Event-ID: {}", id_and_json(&first[0]).0);
    let started = Instant::now();
    let reply = ask(bench.tcp(), "GET /v1/events", &[&header], "");
    assert!(started.elapsed() < Duration::from_secs(3), "the stream ends before its connection");
    assert_eq!(reply.status, 200);
    assert_eq!(reply.header("content-type"), Some("text/event-stream"));
    assert_eq!(reply.header("cache-control"), Some("no-store"));
    assert!(reply.body.contains("retry: 1000\n"), "{reply:?}");
    assert!(reply.body.contains("data: 2\n") && !reply.body.contains("data: 1\n"), "{reply:?}");
}

#[test]
fn what_was_missed_is_said() {
    let bench = Bench::new();
    let feed = bench.node.feed();
    feed.push("1");
    let first = told(&bench, Some(EventsQuery::START), 1);
    let id = id_and_json(&first[0]).0;
    let long = "x".repeat(1_024 * 1_024);
    for _ in 0..6 {
        feed.push(&long);
    }
    assert!(matches!(told(&bench, Some(id), 1)[..], [Followed::Gap { missed: Some(2), .. }]));
    let (run, number) = id.split_once('-').unwrap();
    let other = format!("{:x}-{number}", u64::from_str_radix(run, 16).unwrap() - 1);
    assert!(matches!(told(&bench, Some(&other), 1)[..], [Followed::Gap { missed: None, .. }]));
}

#[test]
fn an_id_that_is_none_is_refused_and_so_are_too_many_followers() {
    let bench = Bench::new();
    ask(bench.unix(), "GET /v1/events?after=7", &[], "").assert_problem(400, "\"7\" is no id");
    ask(bench.unix(), "GET /v1/events", &["Last-Event-ID: x"], "").assert_problem(400, "no id");
    let open = || {
        let mut stream = bench.unix();
        stream.write_all(b"GET /v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
        let mut head = [0; 12];
        stream.read_exact(&mut head).unwrap();
        assert_eq!(&head, b"HTTP/1.1 200");
        stream
    };
    let followers: Vec<_> = (0..16).map(|_| open()).collect();
    let refused = bench.client().follow(None, |_| ControlFlow::Break(()));
    assert!(matches!(refused, Err(ClientError::Refused(_))), "{refused:?}");
    // They take no place of a request.
    assert!(bench.client().status().is_ok());
    drop(followers);
}

#[test]
fn a_server_that_stops_does_not_wait_for_its_followers() {
    let bench = Bench::new();
    let client = bench.client();
    let mut stream = bench.unix();
    stream.write_all(b"GET /v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    stream.read_exact(&mut [0; 12]).unwrap();
    let started = Instant::now();
    bench.server.stop();
    assert!(started.elapsed() < Duration::from_millis(1_500), "{:?}", started.elapsed());
    let mut gone = None;
    let first = client.follow(None, |told| {
        gone = Some(told);
        ControlFlow::Break(())
    });
    first.unwrap();
    let Some(Followed::Away { why }) = gone else { panic!("{gone:?}") };
    assert!(why.contains("no weir runs here"), "{why}");
}

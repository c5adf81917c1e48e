use std::sync::{Arc, Mutex};

use super::*;

/// A drain whose windows are numbered by their start.
fn numbered() -> impl Drain {
    let mut next = 0;
    move || {
        next += 1;
        Ok(Window { start_ns: next, end_ns: next + 1, ..Window::default() })
    }
}

#[test]
fn stopping_drains_once_more_and_joins_every_thread() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let taken = Arc::clone(&seen);
    let pipeline = Pipeline::feed(numbered(), Duration::from_mins(1), move |next| {
        taken.lock().unwrap().push(next.window.start_ns);
        Ok(())
    })
    .unwrap();
    pipeline.stop().unwrap();
    assert_eq!(*seen.lock().unwrap(), [1]);
}

#[test]
fn a_running_window_is_glanced_at_and_who_scans_is_handed_on() {
    struct Scanned(u32);
    impl Drain for Scanned {
        fn drain(&mut self) -> anyhow::Result<Window> {
            Ok(Window::default())
        }

        fn glance(&mut self) -> anyhow::Result<Vec<IpAddr>> {
            self.0 += 1;
            Ok((self.0 == 2).then(|| [192, 0, 2, 7].into()).into_iter().collect())
        }
    }
    let (stop, stopped) = mpsc::channel();
    let (drained, windows) = mpsc::sync_channel(DRAINED_QUEUE);
    let scanned = |remotes: &[IpAddr]| {
        assert_eq!(remotes, [IpAddr::from([192, 0, 2, 7])]);
        stop.send(()).unwrap();
    };
    let minute = Duration::from_mins(1);
    ticker::run(Scanned(0), minute, &stopped, &drained, &Progress::default(), scanned).unwrap();
    drop(drained);
    assert_eq!(windows.iter().count(), 1, "the last one");
}

#[test]
fn a_slow_stage_makes_windows_late_and_loses_none() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let taken = Arc::clone(&seen);
    let (open, gate) = mpsc::channel();
    let pipeline = Pipeline::feed(numbered(), Duration::from_millis(5), move |next| {
        if next.window.start_ns == 1 {
            gate.recv()?;
        }
        taken.lock().unwrap().push((next.window.start_ns, next.late));
        Ok(())
    })
    .unwrap();
    while pipeline.progress().late() < 3 {
        std::thread::yield_now();
    }
    open.send(()).unwrap();
    pipeline.stop().unwrap();
    let seen = seen.lock().unwrap();
    let numbers: Vec<u64> = seen.iter().map(|&(number, _)| number).collect();
    assert_eq!(numbers, (1..=numbers.len() as u64).collect::<Vec<_>>());
    assert!(seen.iter().map(|&(_, late)| late).sum::<u64>() >= 3, "{seen:?}");
}

#[test]
fn a_sink_comes_back_after_its_errors_and_what_it_missed_is_counted() {
    struct Failing(Arc<Mutex<Vec<String>>>);
    impl Sink for Failing {
        fn take(&mut self, event: &Event) -> Result<(), crate::sink::SinkError> {
            let Event::Failure(failure) = event else { panic!("{event:?}") };
            if failure.what == "full" {
                let full = std::path::Path::new("/dev/full");
                return crate::sink::JsonLines::open(full).and_then(|mut sink| sink.take(event));
            }
            self.0.lock().unwrap().push(failure.what.to_string());
            Ok(())
        }

        fn flush(&mut self) -> Result<(), crate::sink::SinkError> {
            Ok(())
        }
    }
    let (taken, progress) = (Arc::new(Mutex::new(Vec::new())), Progress::default());
    let (events, to_deliver) = mpsc::channel();
    for what in ["one", "full", "full", "two"] {
        let failure = crate::event::FailureEvent { what: what.into(), error: String::new() };
        events.send(Event::Failure(failure)).unwrap();
    }
    drop(events);
    deliver(vec![Box::new(Failing(Arc::clone(&taken)))], &to_deliver, &progress);
    assert_eq!(*taken.lock().unwrap(), ["one", "two"]);
    assert_eq!(progress.lost_events(), [0, 2]);
}

#[test]
fn a_drain_that_fails_ends_the_pipeline_with_its_error() {
    let drain = || anyhow::bail!("the table is gone");
    let pipeline = Pipeline::feed(drain, Duration::from_millis(1), |_| Ok(())).unwrap();
    while !pipeline.has_failed() {
        std::thread::yield_now();
    }
    assert_eq!(pipeline.stop().unwrap_err().to_string(), "the table is gone");
}

#[test]
fn a_sink_that_hangs_costs_events_and_holds_up_no_decision_nor_the_end() {
    struct Hanging(mpsc::Receiver<()>);
    impl Sink for Hanging {
        fn take(&mut self, _: &Event) -> Result<(), crate::sink::SinkError> {
            let _ = self.0.recv();
            Ok(())
        }

        fn flush(&mut self) -> Result<(), crate::sink::SinkError> {
            Ok(())
        }
    }
    let (release, held) = mpsc::channel();
    let config = crate::config::RawConfig::default().check().unwrap().policy;
    let policy = policy::Policy::new(config, policy::ProtectedHosts::default());
    let parts = crate::node::NodeParts::new(policy, Box::new(crate::enforcer::Observe));
    let node = Arc::new(Node::new(parts));
    let sinks: Vec<Box<dyn Sink>> = vec![Box::new(Hanging(held))];
    let window = Duration::from_micros(100);
    let pipeline = Pipeline::score(numbered(), window, None, Arc::clone(&node), sinks).unwrap();
    while node.progress().lost_events()[0] < 10 {
        std::thread::yield_now();
    }
    let decided = control::Node::status(&*node).unwrap().window.unwrap().number;
    assert!(decided > EVENT_QUEUE as u64, "{decided}");
    let start = std::time::Instant::now();
    let error = pipeline.stop().unwrap_err().to_string();
    assert!(error.contains("a sink took no event for 5 s"), "{error}");
    assert!(start.elapsed() < 2 * SINKS_WITHIN);
    drop(release);
}

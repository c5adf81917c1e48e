//! From the node to the spool, and from the spool to the sink.

use std::{
    convert::Infallible,
    ops::ControlFlow,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    thread::sleep,
    time::Duration,
};

use control::{Client, Followed, wire::EventsQuery};
use events::{Event, FailureEvent};
use jiff::Timestamp;

use crate::{
    format::{Format, Observer},
    sink::{SendError, Sink},
    spool::{Spool, SpoolError, pause_after},
};

/// Events that a sink gets at once.
const BATCH: usize = 256;
/// Time after which the spool is looked at again.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// A spool between who follows a node and who feeds a sink.
#[derive(Debug)]
pub struct Forwarder {
    spool: Mutex<Spool>,
    arrived: Condvar,
    /// Told of each change of what works: on standard error.
    tell: fn(&str),
}

impl Forwarder {
    /// A forwarder by this spool.
    #[must_use]
    pub fn new(spool: Spool, tell: fn(&str)) -> Self {
        Self { spool: Mutex::new(spool), arrived: Condvar::new(), tell }
    }

    /// Takes something that the node said.
    ///
    /// # Errors
    /// The spool cannot keep it.
    pub fn take(&self, followed: &Followed) -> Result<(), SpoolError> {
        let mut spool = self.spool();
        match followed {
            Followed::Away { why } => (self.tell)(&format!("{why}; looking for it again")),
            Followed::Back => (self.tell)("the node is back"),
            Followed::Event { id, json } => spool.append(id, Timestamp::now(), json)?,
            Followed::Gap { id, missed } => {
                let missed = missed.map_or_else(
                    || "the node was started anew, and what it told since is not known".to_owned(),
                    |missed| format!("{missed} events were gone at the node before they were read"),
                );
                self.loss(&mut spool, id, &missed)?;
            }
        }
        // That it is told may drop others.
        loop {
            match spool.take_lost() {
                0 => break,
                lost => {
                    let text = format!("{lost} events were dropped: the spool is full");
                    self.loss(&mut spool, "", &text)?;
                }
            }
        }
        drop(spool);
        self.arrived.notify_all();
        Ok(())
    }

    fn loss(&self, spool: &mut Spool, id: &str, text: &str) -> Result<(), SpoolError> {
        (self.tell)(text);
        spool.append(id, Timestamp::now(), &failure(text))
    }

    /// Id of the newest event that was taken.
    #[must_use]
    pub fn last_id(&self) -> Option<String> {
        self.spool().last_id().map(str::to_owned)
    }

    /// Feeds a sink with what waits and what comes, for good.
    ///
    /// # Errors
    /// The spool cannot be read or written.
    pub fn feed(
        &self,
        sink: &mut dyn Sink,
        format: Format,
        observer: &Observer,
    ) -> Result<Infallible, SpoolError> {
        loop {
            self.drain(sink, format, observer)?;
            self.wait();
        }
    }

    /// Feeds a sink until nothing waits.
    ///
    /// # Errors
    /// The spool cannot be read or written.
    pub fn drain(
        &self,
        sink: &mut dyn Sink,
        format: Format,
        observer: &Observer,
    ) -> Result<(), SpoolError> {
        // Failures in a row, and events that go one by one to find the one that is never taken.
        let (mut failures, mut one_by_one) = (0, 0_usize);
        loop {
            let alone = failures > 0 || one_by_one > 0;
            let waiting = self.spool().waiting(if alone { 1 } else { BATCH })?;
            let Some(last) = waiting.last() else { return Ok(()) };
            let (mut records, mut unreadable) = (Vec::new(), 0);
            for one in &waiting {
                match serde_json::from_str::<Event>(&one.json) {
                    Ok(event) => records.extend(format.records(&event, one.came, observer)),
                    Err(_) => unreadable += 1,
                }
            }
            let sent = if records.is_empty() { Ok(()) } else { sink.send(&records) };
            match sent {
                Ok(()) => {
                    if std::mem::take(&mut failures) > 0 {
                        (self.tell)("the sink takes events again");
                    }
                    one_by_one = one_by_one.saturating_sub(1);
                    let mut spool = self.spool();
                    spool.sent(last)?;
                    if unreadable > 0 {
                        let text = format!(
                            "{unreadable} events were left out: damaged in the spool, or of a node \
                             of another version"
                        );
                        self.loss(&mut spool, "", &text)?;
                    }
                }
                Err(SendError::Never(_)) if waiting.len() > 1 => one_by_one = waiting.len(),
                Err(SendError::Never(why)) => {
                    one_by_one = one_by_one.saturating_sub(1);
                    let text = format!("an event was dropped, for the sink never takes it: {why}");
                    let mut spool = self.spool();
                    spool.sent(last)?;
                    // One that tells of a loss is not told of in turn: it would not be taken either.
                    if last.id.is_empty() {
                        (self.tell)(&text);
                    } else {
                        self.loss(&mut spool, "", &text)?;
                    }
                }
                Err(SendError::Later(error)) => {
                    failures += 1;
                    if failures == 1 {
                        (self.tell)(&format!("the sink takes no events, which wait: {error}"));
                    }
                    sleep(pause_after(failures));
                }
            }
        }
    }

    fn wait(&self) {
        let spool = self.spool();
        let wait = self.arrived.wait_timeout(spool, LOOK_EVERY);
        drop(wait.unwrap_or_else(PoisonError::into_inner));
    }

    fn spool(&self) -> MutexGuard<'_, Spool> {
        self.spool.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Follows a node for good, behind what the spool has already.
///
/// # Errors
/// The spool cannot keep what it says, or it refuses to be followed.
pub fn follow(client: &Client, forwarder: &Forwarder) -> anyhow::Result<()> {
    let after = forwarder.last_id().unwrap_or_else(|| EventsQuery::START.to_owned());
    let mut kept = Ok(());
    client.follow(Some(after), |followed| {
        kept = forwarder.take(&followed);
        if kept.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    Ok(kept?)
}

fn failure(text: &str) -> String {
    let event = FailureEvent { what: "forward".into(), error: text.to_owned() };
    // A failure holds nothing that JSON could not.
    serde_json::to_string(&Event::Failure(event)).unwrap_or_default()
}

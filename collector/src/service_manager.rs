//! Word to the service manager, by systemd's notification protocol; silent where none listens.

use sd_notify::NotifyState;

/// It watches and answers: units that wait for it may start. The status is told in one line.
pub fn ready(status: &str) {
    tell(&[NotifyState::Ready, NotifyState::Status(&status.replace('\n', "; "))]);
}

/// Windows are decided in time: the watchdog may wait for the next word.
pub fn alive() {
    tell(&[NotifyState::Watchdog]);
}

/// It drains the last window and ends.
pub fn stopping() {
    tell(&[NotifyState::Stopping]);
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "the service manager is not told");
    }
}

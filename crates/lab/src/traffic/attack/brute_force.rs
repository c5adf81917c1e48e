//! Guessing passwords: real connections, three wrong ones each.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::Engagement;
use super::trigger::Trigger;
use crate::draw::Draw;
use crate::traffic::benign::interactive::{greet, try_password};
use crate::traffic::crew::Crew;
use crate::traffic::server::ssh::TRIES;
use crate::{Lab, LabError};

/// The most connections under way; blocked ones pile up until they time out.
const MOST_AT_ONCE: usize = 256;
/// Longest connection attempt.
const PATIENCE: Duration = Duration::from_secs(3);

pub(super) fn start(
    crew: &mut Crew,
    lab: &Lab,
    engagement: &Engagement,
    rate: u32,
    trigger: Trigger,
) -> Result<(), LabError> {
    let engagement = engagement.clone();
    crew.spawn_tasks(lab.members(), &engagement.attacker.clone(), "attack", move || async move {
        let duration = engagement.attack.duration;
        // Running out of time is how an attack is meant to end.
        let _ = timeout(duration, guess(engagement, rate, trigger)).await;
    })
}

async fn guess(engagement: Engagement, rate: u32, trigger: Trigger) {
    let draw = Rc::new(RefCell::new(engagement.draw(0)));
    let mut ticks = interval(Duration::from_secs(1) / rate);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut tries = JoinSet::new();
    loop {
        ticks.tick().await;
        while tries.try_join_next().is_some() {}
        if tries.len() < MOST_AT_ONCE {
            let (victim, trigger, draw) = (engagement.victim, trigger.clone(), Rc::clone(&draw));
            tries.spawn_local(timeout(PATIENCE, log_in_wrongly(victim, trigger, draw)));
        }
    }
}

async fn log_in_wrongly(
    victim: std::net::IpAddr,
    trigger: Trigger,
    draw: Rc<RefCell<Draw>>,
) -> std::io::Result<()> {
    trigger.pull();
    trigger.connection();
    let mut stream = greet(victim).await?;
    for _ in 0..TRIES {
        let guess = vec![b'?'; draw.borrow_mut().between(40, 80)];
        trigger.bytes(guess.len() as u64);
        try_password(&mut stream, &guess).await?;
    }
    Ok(())
}

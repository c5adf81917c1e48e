//! Benign clients at work.

mod bulk;
pub(super) mod dns;
pub(super) mod interactive;
mod telemetry;
mod web;

use std::net::IpAddr;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::crew::Crew;
use crate::draw::Draw;
use crate::report::Notebook;
use crate::scenario::{Benign, BenignPlan, Clients};
use crate::{BenignKind, ClientReport, Lab, LabError, Node, Scenario, Stop};

/// Longest wait of a client for an answer; then the request has failed.
const PATIENCE: Duration = Duration::from_secs(3);
/// Pause of a client after a failure.
const SULK: Duration = Duration::from_millis(500);

/// Benign traffic that goes on until it is finished or its scenario's durations are over.
#[derive(Debug)]
pub struct RunningBenign {
    crew: Crew,
    clients: Vec<(Node, Notebook)>,
}

impl RunningBenign {
    pub(crate) fn start(lab: &Lab, scenario: &Scenario) -> Result<Self, LabError> {
        check_clients(lab, scenario)?;
        let mut crew = Crew::new();
        let mut clients = Vec::new();
        let mut reports_of_the_host = Vec::new();
        let mut nth = 0;
        for node in lab.clients() {
            let notebook = Notebook::new(crew.stop());
            let mut actors = Vec::new();
            for benign in scenario.benign.iter().filter(|b| b.clients.contains(node.index)) {
                for family in &benign.families {
                    nth += 1;
                    let host = lab.host().interfaces[node.segment()].address(*family);
                    let actor = Actor {
                        benign: benign.clone(),
                        host,
                        client: node.address(*family),
                        draw: Draw::new(scenario.seed, nth),
                        notebook: notebook.clone(),
                    };
                    // Telemetry is sent from the host's own namespace.
                    match benign.does.kind() {
                        BenignKind::Telemetry => reports_of_the_host.push(actor),
                        _ => actors.push(actor),
                    }
                }
            }
            let collects = scenario.benign.iter().any(|benign| {
                benign.does.kind() == BenignKind::Telemetry && benign.clients.contains(node.index)
            });
            if collects {
                telemetry::start_collector(&mut crew, lab, node)?;
            }
            crew.spawn_tasks(lab.members(), node, "benign", move || act_all(actors))?;
            clients.push((node.clone(), notebook));
        }
        crew.spawn_tasks(lab.members(), lab.host(), "telemetry", move || {
            act_all(reports_of_the_host)
        })?;
        Ok(Self { crew, clients })
    }

    /// The flag that ends this traffic.
    #[must_use]
    pub fn stop(&self) -> Stop {
        self.crew.stop().clone()
    }

    /// Reports of the clients so far; requests still under way are not in it.
    #[must_use]
    pub fn clients(&self) -> Vec<ClientReport> {
        self.clients.iter().map(|(node, notebook)| ClientReport::new(node, notebook)).collect()
    }

    /// Stops the traffic, waits for its threads and says what the clients noticed. Requests cut
    /// short by this are not counted.
    pub fn finish(self) -> Result<Vec<ClientReport>, LabError> {
        let Self { crew, clients } = self;
        crew.finish()?;
        Ok(clients.iter().map(|(node, notebook)| ClientReport::new(node, notebook)).collect())
    }
}

/// A lab built for another scenario may lack some of this one's clients.
fn check_clients(lab: &Lab, scenario: &Scenario) -> Result<(), LabError> {
    let count = lab.clients().len();
    let named = scenario.benign.iter().flat_map(|benign| match &benign.clients {
        Clients::All => &[][..],
        Clients::Some(indices) => indices,
    });
    match named.max() {
        Some(index) if *index >= count => Err(LabError::Invalid(format!(
            "the scenario `{}` names the client {index}, but the lab has {count} of them",
            scenario.name
        ))),
        _ => Ok(()),
    }
}

/// A client with one kind of traffic over one address family.
struct Actor {
    benign: Benign,
    host: IpAddr,
    client: IpAddr,
    draw: Draw,
    notebook: Notebook,
}

impl Actor {
    async fn act(mut self) {
        sleep(self.benign.start).await;
        let duration = self.benign.duration;
        let work = async move {
            // Not all at once.
            sleep(self.draw.pause(Duration::from_millis(100))).await;
            match self.benign.does.clone() {
                BenignPlan::Web { port, pause } => web::browse(&mut self, port, pause).await,
                BenignPlan::Dns { pause } => dns::ask(&mut self, pause).await,
                BenignPlan::Bulk { bytes, bytes_per_second, pause } => {
                    bulk::transfer(&mut self, bytes, bytes_per_second, pause).await;
                }
                BenignPlan::Interactive { pause } => interactive::type_on(&mut self, pause).await,
                BenignPlan::Telemetry { period } => telemetry::report(&mut self, period).await,
            }
        };
        match duration {
            // Running out of time is how it is meant to end.
            Some(duration) => drop(timeout(duration, work).await),
            None => work.await,
        }
    }

    /// Runs one request with the usual patience and notes how it went; a failure is slept over.
    async fn request<T>(&self, request: impl Future<Output = std::io::Result<T>>) -> Option<T> {
        self.request_of(Duration::ZERO, request).await
    }

    /// The same for a request that takes a known time by its own pace.
    async fn request_of<T>(
        &self,
        paced: Duration,
        request: impl Future<Output = std::io::Result<T>>,
    ) -> Option<T> {
        let kind = self.benign.does.kind();
        let answer = self.notebook.measure(kind, PATIENCE + paced, paced, request).await;
        if answer.is_none() {
            sleep(SULK).await;
        }
        answer
    }
}

async fn act_all(actors: Vec<Actor>) {
    let mut tasks = JoinSet::new();
    for actor in actors {
        tasks.spawn_local(actor.act());
    }
    while tasks.join_next().await.is_some() {}
}

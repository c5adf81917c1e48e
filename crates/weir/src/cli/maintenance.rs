//! `weir maintenance`: services that will fail for a while.

use std::process::ExitCode;

use anyhow::ensure;
use clap::Args;
use collector::event_text::describe_service;
use control::wire::{Maintenance, MaintenanceRequest};
use events::Service;
use jiff::Timestamp;

use super::{
    Layers,
    node::{AskArgs, seconds},
};

#[derive(Debug, Args)]
pub(super) struct MaintenanceArgs {
    /// The service: `443` or `tcp/443`; without it all that the node saw serve anybody.
    #[arg(value_name = "SERVICE")]
    service: Option<Service>,
    /// How long from now on.
    #[arg(long, value_name = "DURATION", required_unless_present = "end")]
    r#for: Option<humantime::Duration>,
    /// End it.
    #[arg(long, conflicts_with = "for")]
    end: bool,
    #[command(flatten)]
    ask: AskArgs,
}

impl MaintenanceArgs {
    pub(super) fn run(&self, layers: &Layers) -> anyhow::Result<ExitCode> {
        let for_s = self.r#for.map_or(0, |length| seconds(length.into()));
        ensure!(self.end || for_s > 0, "--for must be at least 1s, got 0s; `--end` ends one");
        let request = MaintenanceRequest { service: self.service, for_s };
        let maintained = self.ask.client(layers)?.maintain(&request)?;
        self.ask.print(&maintained, |Maintenance { services }| {
            if services.is_empty() {
                return "no service is under maintenance\n".to_owned();
            }
            let now = Timestamp::now();
            services.iter().map(|one| describe_service(one, now) + "\n").collect()
        })
    }
}

//! `weir page`: the page of the running node, for a browser of this machine.

use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;
use control::Gateway;

use super::{Layers, emit, node::NodeArgs};

#[derive(Debug, Args)]
pub(super) struct PageArgs {
    /// Port on 127.0.0.1, any free one without it: for `ssh -L PORT:127.0.0.1:PORT`.
    #[arg(long, value_name = "PORT", default_value_t = 0, hide_default_value = true)]
    port: u16,
    #[command(flatten)]
    node: NodeArgs,
}

impl PageArgs {
    pub(super) fn run(&self, layers: &Layers) -> anyhow::Result<ExitCode> {
        let client = self.node.client(layers)?;
        client.status()?;
        let gateway = Gateway::open(client.socket(), self.port)
            .with_context(|| format!("cannot listen on 127.0.0.1:{}", self.port))?;
        emit(&format!("{}\n", gateway.link()))?;
        eprintln!("weir: the link is good for one browser, until this ends (Ctrl-C)");
        match gateway.serve()? {}
    }
}

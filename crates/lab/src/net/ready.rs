//! Waiting until links carry frames: the kernel brings them up a while after it was asked.

use std::time::{Duration, Instant};

use futures_util::TryStreamExt;
use rtnetlink::Handle;
use rtnetlink::packet_route::link::{
    BridgePortState, InfoBridgePort, InfoPortData, LinkAttribute, LinkInfo, LinkMessage, State,
};

use super::wiring::{refused, with_netlink};
use crate::LabError;

/// The kernel takes some milliseconds, up to a second on a busy machine.
const PATIENCE: Duration = Duration::from_secs(10);
/// Time between two queries: notifications would have to be matched with what came before them.
const ASK_EVERY: Duration = Duration::from_millis(2);

/// Waits until these ports of the switch forward frames.
pub(crate) fn wait_for_ports(names: &[String]) -> Result<(), LabError> {
    wait_for(names, forwards)
}

/// Waits until these interfaces of a member are up.
pub(crate) fn wait_for_links(names: &[String]) -> Result<(), LabError> {
    wait_for(names, is_up)
}

fn wait_for(names: &[String], is_ready: fn(&LinkMessage) -> bool) -> Result<(), LabError> {
    with_netlink(async |netlink| {
        let deadline = Instant::now() + PATIENCE;
        for name in names {
            while !is_ready(&link(&netlink, name).await?) {
                if Instant::now() > deadline {
                    return Err(LabError::Netlink {
                        doing: format!("bring {name} up"),
                        message: format!("it was not ready after {} s", PATIENCE.as_secs()),
                    });
                }
                tokio::time::sleep(ASK_EVERY).await;
            }
        }
        Ok(())
    })
}

/// Looks an interface up by its name.
pub(super) async fn link(netlink: &Handle, name: &str) -> Result<LinkMessage, LabError> {
    let mut links = netlink.link().get().match_name(name).execute();
    match links.try_next().await {
        Ok(Some(link)) => Ok(link),
        Ok(None) => Err(LabError::Netlink {
            doing: format!("find {name}"),
            message: "the kernel answered nothing".to_owned(),
        }),
        Err(error) => Err(refused(format!("find {name}"), &error)),
    }
}

fn is_up(link: &LinkMessage) -> bool {
    link.attributes.contains(&LinkAttribute::OperState(State::Up))
}

fn forwards(link: &LinkMessage) -> bool {
    let forwarding = InfoBridgePort::State(BridgePortState::Forwarding);
    let infos = link.attributes.iter().filter_map(|attribute| match attribute {
        LinkAttribute::LinkInfo(infos) => Some(infos),
        _ => None,
    });
    infos.flatten().any(|info| match info {
        LinkInfo::PortData(InfoPortData::BridgePort(port)) => port.contains(&forwarding),
        _ => false,
    })
}

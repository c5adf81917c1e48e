//! Links, addresses, routes and neighbours, over rtnetlink.
//!
//! Every function works in the namespace of the calling thread.

use std::net::IpAddr;
use std::os::fd::AsRawFd;

use nix::errno::Errno;
use rtnetlink::packet_route::address::AddressHeaderFlags;
use rtnetlink::packet_route::link::{BridgeStpState, InfoData, InfoVeth, LinkMessage};
use rtnetlink::packet_route::neighbour::NeighbourState;
use rtnetlink::packet_route::route::RouteScope;
use rtnetlink::{Handle, LinkBridge, LinkUnspec, LinkVeth, RouteMessageBuilder};

use super::namespace::Namespace;
use super::{offload, ready, sysctl};
use crate::LabError;
use crate::plan::{self, Interface, Node, Plan, Role, V4_PREFIX, V6_PREFIX};

const BRIDGE: LabError =
    LabError::KernelLacks { what: "bridge devices (CONFIG_BRIDGE)", module: "bridge" };
const VETH: LabError = LabError::KernelLacks { what: "veth devices (CONFIG_VETH)", module: "veth" };

/// In the switch's namespace: makes the bridges and a cable to each member.
pub(crate) fn wire_switch(
    plan: &Plan,
    members: &[(Node, Namespace)],
    offloads: bool,
) -> Result<(), LabError> {
    sysctl::write(sysctl::SWITCH)?;
    with_netlink(async |netlink| {
        for segment in 0..plan.segments {
            add_bridge(&netlink, &plan::gateway(segment)).await?;
        }
        for (node, namespace) in members {
            for link in &node.interfaces {
                plug_in(&netlink, node, link, namespace).await?;
            }
        }
        Ok(())
    })?;
    if !offloads {
        for (node, _) in members {
            for link in &node.interfaces {
                offload::switch_off(&port_name(node, link))?;
            }
        }
    }
    Ok(())
}

/// In a member's namespace: addresses, routes and settings of its interfaces.
pub(crate) fn configure_member(node: &Node, offloads: bool) -> Result<(), LabError> {
    if node.role == Role::Host {
        sysctl::write(sysctl::HOST)?;
    }
    if !offloads {
        for link in &node.interfaces {
            offload::switch_off(&link.name)?;
        }
    }
    with_netlink(async |netlink| {
        let lo = index_of(&netlink, "lo").await?;
        set_up(&netlink, lo, "lo").await?;
        for link in &node.interfaces {
            configure_link(&netlink, node.role, link).await?;
        }
        Ok(())
    })
}

async fn add_bridge(netlink: &Handle, bridge: &Interface) -> Result<(), LabError> {
    let message = LinkBridge::new(&bridge.name)
        .address(bridge.mac.to_vec())
        .stp_state(BridgeStpState::Disabled)
        .forward_delay(0)
        .mcast_snooping(false)
        .build();
    let doing = || format!("add the bridge {}", bridge.name);
    netlink.link().add(message).execute().await.map_err(|error| match errno_of(&error) {
        Some(Errno::EOPNOTSUPP) => BRIDGE,
        _ => refused(doing(), &error),
    })
}

/// Runs a cable from the switch to a member: a veth pair whose far end appears in the member's
/// namespace only, so that its name never clashes with anything.
async fn plug_in(
    netlink: &Handle,
    node: &Node,
    link: &Interface,
    namespace: &Namespace,
) -> Result<(), LabError> {
    let port = port_name(node, link);
    let far_end = LinkUnspec::new_with_name(&link.name)
        .address(link.mac.to_vec())
        .setns_by_fd(namespace.file().as_raw_fd())
        .build();
    let bridge = index_of(netlink, &plan::gateway(link.segment).name).await?;
    let message: LinkMessage = LinkVeth::new(&port, &link.name)
        .set_info_data(InfoData::Veth(InfoVeth::Peer(far_end)))
        .controller(bridge)
        .up()
        .build();
    netlink.link().add(message).execute().await.map_err(|error| match errno_of(&error) {
        Some(Errno::EOPNOTSUPP) => VETH,
        _ => refused(format!("add the cable {port} to {}", namespace.name()), &error),
    })
}

async fn configure_link(netlink: &Handle, role: Role, link: &Interface) -> Result<(), LabError> {
    let index = index_of(netlink, &link.name).await?;
    set_up(netlink, index, &link.name).await?;
    add_address(netlink, index, link.v4.into(), V4_PREFIX).await?;
    add_address(netlink, index, link.v6.into(), V6_PREFIX).await?;
    match role {
        Role::Client => Ok(()),
        Role::Attacker => {
            let (v4, v6) = plan::clients_network(link.segment);
            add_link_routes(netlink, index, v4.into(), v6.into()).await
        }
        Role::Host => {
            let (v4, v6) = plan::attackers_network(link.segment);
            add_link_routes(netlink, index, v4.into(), v6.into()).await?;
            // Answers of the host to spoofed sources go to a gateway that drops them. Were those
            // sources on link, each would cost a broadcast and a neighbour entry, and a flood of
            // them would push the benign clients' entries out.
            let gateway = plan::gateway(link.segment);
            let (v4, v6) = plan::spoofed_network(link.segment);
            add_neighbour(netlink, index, gateway.v4.into(), gateway.mac).await?;
            add_neighbour(netlink, index, gateway.v6.into(), gateway.mac).await?;
            let v4 = RouteMessageBuilder::<std::net::Ipv4Addr>::new()
                .destination_prefix(v4, V4_PREFIX)
                .gateway(gateway.v4)
                .output_interface(index)
                .build();
            add_route(netlink, v4).await?;
            let v6 = RouteMessageBuilder::<std::net::Ipv6Addr>::new()
                .destination_prefix(v6, V6_PREFIX)
                .gateway(gateway.v6)
                .output_interface(index)
                .build();
            add_route(netlink, v6).await
        }
    }
}

async fn add_link_routes(
    netlink: &Handle,
    index: u32,
    v4: IpAddr,
    v6: IpAddr,
) -> Result<(), LabError> {
    for (network, prefix) in [(v4, V4_PREFIX), (v6, V6_PREFIX)] {
        let route = RouteMessageBuilder::<IpAddr>::new()
            .destination_prefix(network, prefix)
            .map_err(|error| LabError::Netlink {
                doing: format!("describe the route to {network}/{prefix}"),
                message: error.to_string(),
            })?
            .scope(RouteScope::Link)
            .output_interface(index)
            .build();
        add_route(netlink, route).await?;
    }
    Ok(())
}

async fn add_route(
    netlink: &Handle,
    route: rtnetlink::packet_route::route::RouteMessage,
) -> Result<(), LabError> {
    netlink.route().add(route).execute().await.map_err(|error| refused("add a route", &error))
}

async fn add_address(
    netlink: &Handle,
    index: u32,
    address: IpAddr,
    prefix: u8,
) -> Result<(), LabError> {
    let mut request = netlink.address().add(index, address, prefix);
    if address.is_ipv6() {
        // Without the flag it stays tentative, and no one's source, until a worker of the
        // kernel gets to it, even where duplicates are not looked for.
        request.message_mut().header.flags |= AddressHeaderFlags::Nodad;
    }
    request.execute().await.map_err(|error| refused(format!("add the address {address}"), &error))
}

async fn add_neighbour(
    netlink: &Handle,
    index: u32,
    address: IpAddr,
    mac: [u8; 6],
) -> Result<(), LabError> {
    let request = netlink.neighbours().add(index, address);
    request
        .link_layer_address(&mac)
        .state(NeighbourState::Permanent)
        .execute()
        .await
        .map_err(|error| refused(format!("add the neighbour {address}"), &error))
}

async fn set_up(netlink: &Handle, index: u32, name: &str) -> Result<(), LabError> {
    let message = LinkUnspec::new_with_index(index).up().build();
    let request = netlink.link().set(message);
    request.execute().await.map_err(|error| refused(format!("set {name} up"), &error))
}

async fn index_of(netlink: &Handle, name: &str) -> Result<u32, LabError> {
    ready::link(netlink, name).await.map(|link| link.header.index)
}

/// The name of a member's port on the switch: `client3`, or `host-eth1` for a second interface.
pub(crate) fn port_name(node: &Node, link: &Interface) -> String {
    if node.interfaces.len() == 1 {
        node.name.clone()
    } else {
        format!("{}-{}", node.name, link.name)
    }
}

/// Runs `work` with a netlink connection of the calling thread's namespace.
pub(super) fn with_netlink(
    work: impl AsyncFnOnce(Handle) -> Result<(), LabError>,
) -> Result<(), LabError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| LabError::system("start a runtime for netlink", error))?;
    runtime.block_on(async {
        let (connection, handle, _) = rtnetlink::new_connection()
            .map_err(|error| LabError::system("open a netlink socket", error))?;
        // The connection ends with the runtime.
        tokio::spawn(connection);
        work(handle).await
    })
}

fn errno_of(error: &rtnetlink::Error) -> Option<Errno> {
    match error {
        rtnetlink::Error::NetlinkError(message) => Some(Errno::from_raw(-message.raw_code())),
        _ => None,
    }
}

pub(super) fn refused(doing: impl Into<String>, error: &rtnetlink::Error) -> LabError {
    match errno_of(error) {
        Some(Errno::EPERM | Errno::EACCES) => LabError::Permission,
        Some(errno) => LabError::Netlink { doing: doing.into(), message: errno.desc().to_owned() },
        None => LabError::Netlink { doing: doing.into(), message: error.to_string() },
    }
}

//! A remote that opens a flow once a second, as the peer features see it over ten seconds.

use flows_common::{FlowCounters, FlowKey, map_v4};
use weir_features::{Context, Feature as _, PeerFeature, Window};

const SECOND: u64 = 1_000_000_000;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let regularity = PeerFeature::from_name("regularity").ok_or("no such feature")?;
    println!("{}\n", regularity.doc());
    let mut context = Context::default();
    for second in 0..33 {
        let observed = context.observe(&window(second));
        for row in observed.peers.iter().filter(|row| row.level > 0) {
            let value = regularity.natural(regularity.value(row));
            println!("{} from second {}: {value:.2}", row.horizon, row.span.start_ns / SECOND);
        }
    }
    Ok(())
}

/// A window in which the remote sends one datagram from a port of its own.
fn window(second: u16) -> Window {
    let key = FlowKey {
        local: map_v4([192, 0, 2, 1]),
        remote: map_v4([198, 51, 100, 7]),
        local_port: 53,
        remote_port: 40_000 + second,
        protocol: 17,
        ..FlowKey::default()
    };
    let start_ns = u64::from(second) * SECOND;
    let mut counters = FlowCounters::default();
    let ingress = &mut counters.directions[0];
    (ingress.packets, ingress.bytes) = (1, 80);
    (ingress.first_ns, ingress.last_ns) = (start_ns + 1, start_ns + 1);
    Window {
        start_ns,
        end_ns: start_ns + SECOND,
        flows: vec![(key, counters)],
        ..Window::default()
    }
}

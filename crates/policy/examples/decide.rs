//! A peer that becomes anomalous in the third of five windows, and the decisions about it.

use std::net::IpAddr;

use weir_policy::{
    Evidence, Mode, Outcome, Policy, PolicyConfig, ProtectedHosts, Standing, WindowFacts,
};

const SECOND: u64 = 1_000_000_000;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let config = PolicyConfig { mode: Mode::Enforce, ..PolicyConfig::default() };
    let mut policy = Policy::new(config.check(1_000_000)?, ProtectedHosts::default());
    let scanner: IpAddr = "198.51.100.7".parse()?;
    for second in 1..=5 {
        let evidence = vec![evidence(scanner, second >= 3)];
        let verdicts = policy.decide(evidence, &WindowFacts::ending_at(second * SECOND));
        println!("second {second}: {} anomalous", verdicts.peers.len());
        for decision in verdicts.peers {
            let address = decision.evidence.address;
            match decision.outcome {
                Outcome::Block { ttl, .. } => println!("  block {address} for {ttl:?}"),
                Outcome::Refused(refusal) => println!("  {address} stays: {refusal:?}"),
            }
        }
    }
    Ok(())
}

/// Evidence of an ordinary peer, or of one beyond all that was seen in training.
fn evidence(address: IpAddr, anomalous: bool) -> Evidence {
    let p_value = if anomalous { 0.001 } else { 0.4 };
    Evidence {
        address,
        p_value,
        conditional_p_value: p_value,
        peer_score: if anomalous { 0.8 } else { 0.45 },
        horizon_ms: 1_000,
        tail_score: if anomalous { 15.0 } else { 1.0 },
        surprise: if anomalous { 9.0 } else { 0.2 },
        packets: 100,
        bytes: 6_000,
        standing: Standing::Proven,
        new_or_large: false,
        failed_log_ins: 0,
        log_ins_alike: 0,
        row_packets: 0,
        flows: 3,
        service: None,
    }
}

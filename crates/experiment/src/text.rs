//! The report as plain text for a person at a terminal.

use std::fmt::Write as _;

use report::text::{columns, count, counted, dash, delay_text, percent, plain};

use super::report::{AttackOutcome, Report, SettingReport, Source};

/// Blocks of the chosen setting that are shown at most.
const BLOCKS_SHOWN: usize = 20;

impl Report {
    /// The report as text: a line a setting, then the chosen one in detail.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut parts = vec![self.extent(), section("settings", &self.table())];
        if let Some(trade_off) = &self.trade_off {
            parts.push(format!("* on the front, > the best of it: {}", trade_off.rule));
        }
        if let Some(setting) = self.chosen() {
            parts.push(format!("== setting {}: {} ==", setting.number, plain(&setting.name)));
            parts.extend(detail(setting));
        }
        let absent = self.absent.iter().map(|one| format!("{}: {}", one.what, one.why));
        parts.push(list("not told by this input", absent));
        parts.push(list("how to read it", self.caveats.iter().cloned()));
        let mut text = parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>();
        text.push(String::new());
        text.join("\n\n").trim_end().to_owned() + "\n"
    }

    fn extent(&self) -> String {
        let traffic = &self.traffic;
        let from = match self.origin.source {
            Source::Captures => "captures",
            Source::Tables => "feature tables",
            Source::NodeRecord => "a node's record",
        };
        let mut text = format!(
            "{} from {from}: {} of {:.0} s, {}",
            counted(self.settings.len() as u64, "setting"),
            counted(traffic.windows, "window"),
            traffic.duration_s,
            counted(traffic.peer_windows, "peer-window"),
        );
        if traffic.lossy_windows > 0 {
            let _ = write!(text, ", {} lost flows", counted(traffic.lossy_windows, "window"));
        }
        let classes = [
            ("attack", traffic.attack),
            ("benign", traffic.benign),
            ("unlabelled", traffic.unlabelled),
        ];
        let mut rows = vec![head(&["traffic", "peers", "packets", "bytes"])];
        let known = classes.into_iter().filter_map(|(name, class)| Some((name, class?)));
        for (name, class) in known.chain(traffic.all.map(|all| ("in all", all))) {
            rows.push(vec![
                name.to_owned(),
                count(class.peers),
                count(class.packets),
                count(class.bytes),
            ]);
        }
        if rows.len() > 1 {
            let _ = write!(text, "\n\n{}", columns(&rows).trim_end());
        }
        text
    }

    /// Mark of a setting on the front.
    pub(super) fn mark(&self, number: usize) -> &'static str {
        match &self.trade_off {
            Some(trade_off) if trade_off.best == number => ">",
            Some(trade_off) if trade_off.front.contains(&number) => "*",
            _ => "",
        }
    }

    fn table(&self) -> Vec<Vec<String>> {
        let has_truth = self.origin.has_truth;
        let shares = self.origin.source != Source::NodeRecord;
        let mut heads = vec!["", "no.", "setting", "blocks", "limits"];
        if has_truth {
            heads.push("attack packets stopped");
            if shares {
                heads.extend(["of all", "after decision"]);
            }
            heads.extend([
                "attacks blocked",
                "time, median",
                "longest",
                "benign peers hit",
                "packets lost",
                "false blocks",
            ]);
        } else {
            heads.extend(["packets stopped", "bytes stopped"]);
        }
        heads.extend(["at once", "a minute", "refused"]);
        let mut rows = vec![head(&heads)];
        for one in &self.settings {
            let mut row = vec![
                self.mark(one.number).to_owned(),
                one.number.to_string(),
                plain(&one.name),
                count(one.blocks),
                count(one.rate_limits),
            ];
            if let (Some(attack), Some(benign)) = (&one.attack, &one.benign) {
                row.push(count(attack.stopped.packets));
                if shares {
                    row.push(share(attack.shares.stopped_packet_share));
                    row.push(share(attack.shares.stopped_packet_share_after_decision));
                }
                row.push(format!("{} of {}", attack.attacks_blocked, attack.attacks));
                row.push(delay(attack.median_time_to_block_s));
                row.push(delay(attack.max_time_to_block_s));
                row.push(count(benign.peers_blocked));
                row.push(count(benign.packets_lost));
                row.push(count(one.false_blocks.unwrap_or(0)));
            } else {
                row.extend([count(one.stopped.packets), count(one.stopped.bytes)]);
            }
            row.push(count(one.peak_active_blocks));
            row.push(count(one.peak_blocks_per_minute));
            row.push(count(one.refusals.iter().map(|refusal| refusal.peer_windows).sum()));
            rows.push(row);
        }
        rows
    }
}

fn detail(setting: &SettingReport) -> Vec<String> {
    let mut parts = Vec::new();
    if !setting.attacks.is_empty() {
        let mut rows = vec![head(&[
            "attack",
            "class",
            "sources",
            "blocked",
            "time to block",
            "packets",
            "stopped",
            "of all",
            "after decision",
        ])];
        rows.extend(setting.attacks.iter().map(attack));
        parts.push(section("attacks", &rows));
    }
    if !setting.block_list.is_empty() {
        let mut rows =
            vec![head(&["at", "peer", "action", "for", "who", "packets stopped", "bytes"])];
        for block in setting.block_list.iter().take(BLOCKS_SHOWN) {
            let who = block.attack.as_deref().or(block.label).unwrap_or("?");
            rows.push(vec![
                format!("{:.1} s", block.decided_after_s),
                block.peer.to_string(),
                block.action.name().to_owned(),
                delay_text(block.ends_after_s - block.decided_after_s),
                plain(who),
                block.stopped_packets.map_or_else(dash, count),
                block.stopped_bytes.map_or_else(dash, count),
            ]);
        }
        let more = setting.blocks - setting.block_list.len().min(BLOCKS_SHOWN) as u64;
        let title = "what would be blocked, and when";
        let table = section(title, &rows);
        parts.push(if more > 0 { format!("{table}\n… and {} more", count(more)) } else { table });
    }
    if !setting.service_limits.is_empty() {
        let mut rows = vec![head(&["limited", "protocol", "port", "for", "packets stopped"])];
        rows.extend(setting.service_limits.iter().map(|limit| {
            vec![
                format!("{:.1} s", limit.decided_after_s),
                limit.protocol.to_string(),
                limit.port.to_string(),
                delay_text(limit.ends_after_s - limit.decided_after_s),
                count(limit.stopped_packets),
            ]
        }));
        parts.push(section("services limited", &rows));
    }
    if setting.breaker_openings > 0 {
        parts.push(format!("the breaker opened {}", counted(setting.breaker_openings, "time")));
    }
    if !setting.refusals.is_empty() {
        let mut rows = vec![head(&["refused", "peer-windows", "attack", "benign", "peers"])];
        for refusal in &setting.refusals {
            rows.push(vec![
                refusal.text.clone(),
                count(refusal.peer_windows),
                refusal.attack_peer_windows.map_or_else(dash, count),
                refusal.benign_peer_windows.map_or_else(dash, count),
                count(refusal.peers),
            ]);
        }
        parts.push(section("refused by a guard", &rows));
    }
    parts
}

fn attack(attack: &AttackOutcome) -> Vec<String> {
    vec![
        plain(&attack.name),
        plain(&attack.class),
        attack.sources.map_or_else(dash, count),
        count(attack.sources_blocked),
        attack.time_to_block_s.map_or_else(|| "never".to_owned(), delay_text),
        attack.packets.map_or_else(dash, count),
        count(attack.stopped_packets),
        share(attack.shares.stopped_packet_share),
        share(attack.shares.stopped_packet_share_after_decision),
    ]
}

/// A share, or a dash for none.
pub(super) fn share(share: Option<f64>) -> String {
    share.map_or_else(dash, percent)
}

/// A time to wait, or a dash for none.
pub(super) fn delay(seconds: Option<f64>) -> String {
    seconds.map_or_else(dash, delay_text)
}

fn head(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn section(title: &str, rows: &[Vec<String>]) -> String {
    format!("{title}\n{}", columns(rows).trim_end())
}

fn list(title: &str, items: impl Iterator<Item = String>) -> String {
    let lines: Vec<String> = items.map(|item| format!("- {item}")).collect();
    if lines.is_empty() { String::new() } else { format!("{title}\n{}", lines.join("\n")) }
}

#[cfg(test)]
mod tests {
    use crate::sample::report;

    #[test]
    fn a_person_reads_a_line_a_setting_and_the_best_in_detail() {
        let text = report(&["expert.windows=1", "expert.act_surprise=3,4,6"]).to_text();
        let shown = text.split("not told by this input").next().unwrap_or_default();
        assert_eq!(shown.trim_end(), include_str!("text/expected.txt").trim_end(), "{shown}");
    }
}

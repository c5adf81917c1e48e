//! The report as one HTML page that needs nothing else: the trade-off curves, and for the settings
//! that matter what was blocked when.

use maud::{Markup, html};
use report::{
    html::{Axis, Dot, Lane, Span, figure, lanes, page},
    plot::scatter,
    text::{count, counted, dash, delay_text, number, percent},
};

use super::{
    report::{Report, SettingReport, Source},
    text::delay,
};

/// Settings that are shown in detail at most: the best, and others on the front.
const DETAILED: usize = 4;
/// Peers that a timeline shows at most.
const LANES: usize = 40;

impl Report {
    /// The report as one HTML page.
    ///
    /// Names from outside are escaped; there is no script on the page, and its policy forbids
    /// every request.
    #[must_use]
    pub fn to_html(&self) -> String {
        let (title, traffic) = (self.title(), &self.traffic);
        let extent = html! { p.soft { (format!(
            "{} on {} of {:.0} s with {}",
            counted(self.settings.len() as u64, "setting"),
            counted(traffic.windows, "window"),
            traffic.duration_s,
            counted(traffic.peer_windows, "peer-window"),
        )) } };
        let body = html! {
            section aria-label="In short" {
                div.card { p.lead { (self.headline()) } }
                (self.not_told())
            }
            (self.curves())
            (self.all_settings())
            @for setting in self.detailed() { (self.detail(setting)) }
            (self.identity())
        };
        page(title, &extent, &body)
    }

    const fn title(&self) -> &'static str {
        match self.origin.source {
            Source::Captures | Source::Tables => "weir experiment: what would be blocked",
            Source::NodeRecord => "weir experiment: what the node's entries met",
        }
    }

    fn headline(&self) -> String {
        let Some(setting) = self.chosen() else {
            return "Without a truth nobody knows which blocks are right: the table tells what each \
                    setting would stop, in all."
                .to_owned();
        };
        let what = if self.settings.len() > 1 {
            format!("The best of {} settings is {}: it", self.settings.len(), setting.name)
        } else {
            "It".to_owned()
        };
        let (Some(attack), Some(benign)) = (&setting.attack, &setting.benign) else {
            return format!(
                "{what} makes {} and stops {}.",
                counted(setting.blocks, "block"),
                counted(setting.stopped.packets, "packet"),
            );
        };
        let false_blocks = setting.false_blocks.unwrap_or(0);
        let known = self.traffic.benign.map_or(0, |benign| benign.peers);
        let price = if benign.peers_blocked == 0 && false_blocks == 0 {
            // Of nobody, nobody is blocked.
            match known {
                0 => "says nothing of whom it would hurt, for no peer here is known to be benign"
                    .to_owned(),
                known => {
                    format!("blocks none of {} and nobody else", counted(known, "benign peer"))
                }
            }
        } else {
            format!(
                "takes {} from {}, with {}",
                counted(benign.packets_lost, "packet"),
                counted(benign.peers_blocked, "benign peer"),
                counted(false_blocks, "false block"),
            )
        };
        let stopped = attack.shares.stopped_packet_share.map_or_else(
            || counted(attack.stopped.packets, "attack packet"),
            |share| format!("{} of the attack packets", percent(share)),
        );
        let when = attack.median_time_to_block_s.map_or_else(String::new, |seconds| {
            format!(", the middle one after {}", delay_text(seconds))
        });
        format!(
            "{what} blocks {} of {}{when}, stops {stopped}, and {price}.",
            attack.attacks_blocked,
            counted(attack.attacks, "attack"),
        )
    }

    fn not_told(&self) -> Markup {
        html! {
            div.warn role="note" {
                h3 { "Before you trust these numbers" }
                ul {
                    @for caveat in &self.caveats { li { (caveat) } }
                    @for one in &self.absent { li { b { "Not told: " (one.what) "." } " " (one.why) "." } }
                }
            }
        }
    }

    fn dots(&self, of: impl Fn(&SettingReport) -> Option<(f64, f64)>) -> Vec<Dot> {
        let dot = |setting: &SettingReport| {
            let (x, y) = of(setting)?;
            let marked = self.mark(setting.number) == ">";
            Some(Dot { x, y, number: setting.number, marked })
        };
        self.settings.iter().filter_map(dot).collect()
    }

    fn curves(&self) -> Markup {
        if self.settings.len() < 2 || !self.origin.has_truth {
            return html! {};
        }
        let bytes = self.dots(|one| {
            let lost = one.benign.as_ref()?.byte_share.unwrap_or(0.0);
            Some((lost, one.attack.as_ref()?.shares.stopped_byte_share.unwrap_or(0.0)))
        });
        let times = self.dots(|one| {
            let blocked_s = one.attack.as_ref()?.median_time_to_block_s?;
            Some((one.false_blocks? as f64, blocked_s))
        });
        let shares = |share: &f64| percent_text(*share);
        let plain = |value: &f64| number(*value);
        let axis = |name, text, least_top| Axis { name, text, least_top };
        html! {
            section {
                h2 { "What is stopped, and at which price" }
                p { "A dot is a setting, by its number in the table below; settings that do \
                     nearly the same share one. The best by the rule stands out in the attacks' colour." }
                div.plots {
                    (figure(
                        "Attack bytes stopped against benign bytes lost",
                        &scatter(
                            &bytes,
                            axis("benign bytes lost, of all benign bytes", &shares, 0.001),
                            axis("attack bytes stopped, of all", &shares, 1.0),
                        ),
                        "Up is better, left is better. What lies to the left and above of a dot \
                         beats it.",
                    ))
                    (figure(
                        "Time to block against false blocks",
                        &scatter(
                            &times,
                            axis("false blocks", &plain, 1.0),
                            axis("median time to block, in s", &plain, 0.1),
                        ),
                        "Down is better, left is better. The time is from an attack's first packet \
                         to its first block; attacks that are never blocked are in the table, not \
                         here.",
                    ))
                }
            }
        }
    }

    fn all_settings(&self) -> Markup {
        let has_truth = self.origin.has_truth;
        html! {
            section {
                h2 { "Settings" }
                @if let Some(trade_off) = &self.trade_off {
                    p.soft { "* on the front, > the best of it: " (trade_off.rule) "." }
                }
                div.scroll tabindex="0" { table {
                    thead { tr {
                        th.n { "no." } th { "setting" } th.n { "blocks" }
                        @if has_truth {
                            th.n { "attack packets stopped" } th.n { "attack bytes stopped" }
                            th.n { "attacks blocked" } th.n { "time to block" }
                            th.n { "benign peers hit" } th.n { "benign packets lost" }
                            th.n { "false blocks" }
                        } @else { th.n { "packets stopped" } th.n { "bytes stopped" } }
                        th.n { "refused" }
                    } }
                    tbody { @for one in &self.settings { tr {
                        td.n { (self.mark(one.number)) " " (one.number) }
                        td.name { (one.name) }
                        td.n { (count(one.blocks))
                            @if one.rate_limits > 0 {
                                br; small { (counted(one.rate_limits, "rate limit")) }
                            }
                            br; small { (count(one.peak_active_blocks)) " at once" }
                        }
                        (amounts(one))
                        td.n { (count(one.refusals.iter().map(|one| one.peer_windows).sum())) }
                    } } }
                } }
            }
        }
    }

    /// The best setting and others on the front that do something else; the only one.
    fn detailed(&self) -> Vec<&SettingReport> {
        let mut chosen: Vec<&SettingReport> = self.chosen().into_iter().collect();
        let front = self.trade_off.iter().flat_map(|trade_off| &trade_off.front);
        for setting in front.filter_map(|number| self.settings.get(number - 1)) {
            let same = |one: &&SettingReport| one.block_list == setting.block_list;
            if chosen.len() < DETAILED && !chosen.iter().any(same) {
                chosen.push(setting);
            }
        }
        chosen
    }

    fn detail(&self, setting: &SettingReport) -> Markup {
        let (rows, left_out) = Self::lanes(setting);
        html! {
            section {
                h2 { "Setting " (setting.number) ": " (setting.name) }
                @if !rows.is_empty() {
                    (figure(
                        "What would be blocked, and when",
                        &lanes(&rows, self.traffic.duration_s),
                        &format!(
                            "A lane a peer, or an attack that no block met. Strong: a block stands. Pale: the \
                             attack goes on. Orange: attackers; blue: everybody else.{}",
                            if left_out > 0 {
                                format!(" {} more peers are not shown.", count(left_out))
                            } else {
                                String::new()
                            }
                        ),
                    ))
                }
                (attacks(setting))
                (refusals(setting))
            }
        }
    }

    fn lanes(setting: &SettingReport) -> (Vec<Lane>, u64) {
        let mut rows: Vec<Lane> = Vec::new();
        let mut left_out = 0;
        for block in &setting.block_list {
            let name = match &block.attack {
                Some(attack) => format!("{} ({attack})", block.peer),
                None => block.peer.to_string(),
            };
            let front = Span { from: block.decided_after_s, to: block.ends_after_s };
            match rows.iter().position(|lane| lane.name == name) {
                Some(place) => rows[place].front.push(front),
                None if rows.len() >= LANES => left_out += 1,
                None => {
                    let own = |one: &&super::report::AttackOutcome| {
                        Some(&one.name) == block.attack.as_ref()
                    };
                    let attack = setting.attacks.iter().find(own);
                    rows.push(Lane {
                        name,
                        attack: attack.is_some(),
                        behind: attack.into_iter().map(span).collect(),
                        front: vec![front],
                    });
                }
            }
        }
        for limit in &setting.service_limits {
            let front = vec![Span { from: limit.decided_after_s, to: limit.ends_after_s }];
            let name = format!("port {} limited", limit.port);
            rows.push(Lane { name, attack: true, behind: Vec::new(), front });
        }
        for attack in setting.attacks.iter().filter(|one| one.sources_blocked == 0) {
            let what =
                if attack.by_service_limit { "its service limited" } else { "never blocked" };
            let name = format!("{}: {what}", attack.name);
            rows.push(Lane { name, attack: true, behind: vec![span(attack)], front: Vec::new() });
        }
        (rows, left_out)
    }

    fn identity(&self) -> Markup {
        let origin = &self.origin;
        html! {
            section {
                h2 { "What it was made of" }
                div.card { dl {
                    dt { "software" } dd { (self.software) }
                    @if let Some(model) = &origin.model_sha256 { dt { "model" } dd { code { (model) } } }
                    @if let Some(seed) = origin.seed { dt { "seed" } dd { (seed) } }
                    @for input in &origin.inputs {
                        dt { (input.role) }
                        dd { (input.path) ", " (count(input.bytes)) " bytes" br; small { "SHA-256 " (input.sha256) } }
                    }
                } }
                @if !self.policy.is_null() {
                    h3 { "[policy] where it is not varied" }
                    div.card { dl {
                        @for (key, value) in self.policy.as_object().into_iter().flatten() {
                            dt { (key) } dd { code { (value) } }
                        }
                    } }
                }
            }
        }
    }
}

fn span(attack: &super::report::AttackOutcome) -> Span {
    Span { from: attack.began_after_s, to: attack.ended_after_s }
}

/// A share on an axis: whole percents where they are large enough.
fn percent_text(share: f64) -> String {
    let value = share * 100.0;
    if value.abs() < 1e-9 { "0 %".to_owned() } else { format!("{} %", number(value)) }
}

fn amounts(one: &SettingReport) -> Markup {
    let (Some(attack), Some(benign)) = (&one.attack, &one.benign) else {
        return html! { td.n { (count(one.stopped.packets)) } td.n { (count(one.stopped.bytes)) } };
    };
    html! {
        td.n { (stopped(attack.stopped.packets, attack.shares.stopped_packet_share, attack.shares.stopped_packet_share_after_decision)) }
        td.n { (stopped(attack.stopped.bytes, attack.shares.stopped_byte_share, attack.shares.stopped_byte_share_after_decision)) }
        td.n { (attack.attacks_blocked) " of " (attack.attacks) }
        td.n { (delay(attack.median_time_to_block_s))
            br; small { "at most " (delay(attack.max_time_to_block_s)) } }
        td.n { (count(benign.peers_blocked)) @if let Some(all) = benign.peer_share {
            br; small { (percent(all)) }
        } }
        td.n { (count(benign.packets_lost)) @if let Some(all) = benign.packet_share {
            br; small { (percent(all)) }
        } }
        td.n { (count(one.false_blocks.unwrap_or(0))) }
    }
}

fn stopped(amount: u64, of_all: Option<f64>, after: Option<f64>) -> Markup {
    html! {
        @match of_all {
            Some(of_all) => {
                (percent(of_all))
                @if let Some(after) = after { br; small { (percent(after)) " after decision" } }
            }
            None => (count(amount)),
        }
    }
}

fn attacks(setting: &SettingReport) -> Markup {
    html! { @if !setting.attacks.is_empty() {
        h3 { "Each attack" }
        div.scroll tabindex="0" { table {
            caption { "Stopped: as a share of the whole attack, and of what came after its first block." }
            thead { tr {
                th { "attack" } th { "class" } th.n { "from" } th.n { "sources blocked" }
                th.n { "time to block" } th.n { "packets" } th.n { "packets stopped" }
                th.n { "bytes stopped" }
            } }
            tbody { @for one in &setting.attacks { tr {
                td.name { (one.name) @if one.forged { br; small { "forged sources" } } }
                td { (one.class) }
                td.n { (delay_text(one.began_after_s)) }
                td.n { (count(one.sources_blocked)) @if let Some(all) = one.sources { " of " (count(all)) } }
                td.n { @match one.time_to_block_s {
                    Some(seconds) => (delay_text(seconds)),
                    None => span.missed { "never" },
                } }
                td.n { (one.packets.map_or_else(dash, count)) }
                td.n { (stopped(one.stopped_packets, one.shares.stopped_packet_share, one.shares.stopped_packet_share_after_decision)) }
                td.n { (stopped(one.stopped_bytes, one.shares.stopped_byte_share, one.shares.stopped_byte_share_after_decision)) }
            } } }
        } }
    } }
}

fn refusals(setting: &SettingReport) -> Markup {
    html! { @if !setting.refusals.is_empty() {
        h3 { "Refused by a guard" }
        div.scroll tabindex="0" { table {
            caption { "Anomalous peers in windows on which nothing was done, and why." }
            thead { tr {
                th { "reason" } th.n { "peer-windows" } th.n { "of attacks" } th.n { "benign" }
                th.n { "peers" }
            } }
            tbody { @for one in &setting.refusals { tr {
                td { (one.text) }
                td.n { (count(one.peer_windows)) }
                td.n { (one.attack_peer_windows.map_or_else(dash, count)) }
                td.n { (one.benign_peer_windows.map_or_else(dash, count)) }
                td.n { (count(one.peers)) }
            } } }
        } }
    } }
}

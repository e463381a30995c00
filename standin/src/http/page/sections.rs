//! The sections of the page: each a heading and a table, or a list, that reads by itself.
//!
//! Owns the words and their order. Never decides anything: what is shown is what
//! `standin status --json` says, and the story that the log tells.

use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use serde_json::Value;
use standin_core::node::{GroupStatus, LeaseStatus, NodeStatus, PathTraffic};

use super::markup::Markup;
use crate::file::counted;
use crate::http::Ledger;
use crate::http::ledger::Told;
use crate::log::Level;
use crate::slow::{Seen, SeenCluster};

/// Events that are shown, the latest ones.
const STORY_SHOWN: usize = 40;
/// Addresses of one group that are shown before the rest is folded.
const ADDRESSES_SHOWN: usize = 3;

/// A section of the page: its id, and all of it.
pub type Section = (&'static str, String);

/// What everything is made from.
pub(super) struct Sight<'s> {
    pub(super) seen: &'s Seen,
    pub(super) cluster: &'s SeenCluster,
    pub(super) json: Value,
    pub(super) ledger: &'s Ledger,
    pub(super) now: SystemTime,
}

impl Sight<'_> {
    /// All sections, in their order.
    pub(super) fn sections(&self) -> Vec<Section> {
        vec![
            ("summary", self.summary()),
            ("vips", self.vips()),
            ("nodes", self.nodes()),
            ("story", self.story()),
            ("paths", self.paths()),
            ("checks", self.checks()),
        ]
    }

    fn list(&self, key: &str) -> &[Value] {
        self.json[key].as_array().map(Vec::as_slice).unwrap_or_default()
    }

    /// The verdict: its class, its mark, the sentence, and what else is to be said.
    fn verdict(&self) -> (&'static str, &'static str, String, Vec<String>) {
        let vips: usize = self.cluster.groups().map(|(_, addresses)| addresses.len()).sum();
        let unheld = self.cluster.groups().filter(|(group, _)| group.present.is_none());
        let unheld: usize = unheld.map(|(_, addresses)| addresses.len()).sum();
        let contested =
            self.seen.status.vips.iter().filter(|vip| vip.contested_by.is_some()).count();
        let away = self.list("nodes").iter().filter(|node| node["state"] != "takes part").count();
        let failing =
            self.list("checks").iter().filter(|check| check["state"] == "failing").count();
        let mut notes = Vec::new();
        let mut note = |count: usize, what: &str, one: &str, many: &str| {
            if count > 0 {
                let verb = if count == 1 { one } else { many };
                notes.push(format!("{} {verb}", counted(count, what)));
            }
        };
        note(contested, "VIP", "is claimed by another host too", "are claimed by other hosts too");
        note(away, "node", "does not take part", "do not take part");
        note(failing, "check", "fails", "fail");
        if self.cluster.status.isolated {
            notes.push(format!("{} reaches nobody", self.cluster.node));
        }
        let bad = unheld > 0 || contested > 0 || self.cluster.status.isolated;
        let sentence = match (unheld, vips) {
            (0, 1) => "The VIP is held".to_owned(),
            (0, 2) => "Both VIPs are held".to_owned(),
            (0, all) => format!("All {all} VIPs are held"),
            (_, 1) => "Nobody holds the VIP".to_owned(),
            (unheld, all) => format!("{unheld} of {all} VIPs are held by nobody"),
        };
        let (class, mark) = match (bad, notes.is_empty()) {
            (true, _) => ("bad", "\u{2717}"),
            (false, false) => ("warn", "!"),
            (false, true) => ("good", "\u{2713}"),
        };
        (class, mark, sentence, notes)
    }

    fn summary(&self) -> String {
        let (class, mark, sentence, mut notes) = self.verdict();
        if notes.is_empty() {
            let members = self.cluster.status.nodes.len();
            notes.push(format!("{} take part, nothing is wrong", counted(members, "node")));
        }
        let mut out = Markup::default();
        out.raw("<section id=\"summary\" aria-label=\"Summary\" class=\"").text(class);
        out.raw("\" data-title=\"").text(&self.cluster.name).raw(": ").text(&sentence).raw("\">");
        out.element("<span class=\"mark\" aria-hidden=\"true\">", mark, "</span>");
        out.element("<p><strong>", &sentence, "</strong> ");
        out.element("<small>", notes.join("; "), "</small></p></section>");
        out.finish()
    }

    fn vips(&self) -> String {
        let mut out = Markup::default();
        out.raw(
            "<section id=\"vips\" aria-labelledby=\"h-vips\"><h2 id=\"h-vips\">VIPs</h2>\
             <table role=\"table\"><thead role=\"rowgroup\"><tr role=\"row\">\
             <th scope=\"col\" role=\"columnheader\">VIP</th>\
             <th scope=\"col\" role=\"columnheader\">Holder</th>\
             <th scope=\"col\" role=\"columnheader\">Why</th></tr></thead>\
             <tbody role=\"rowgroup\">",
        );
        for (group, addresses) in self.cluster.groups() {
            self.vip(&mut out, group, addresses);
        }
        out.raw("</tbody></table></section>");
        out.finish()
    }

    fn vip(&self, out: &mut Markup, group: &GroupStatus, addresses: &[IpAddr]) {
        let vips = group.vips.iter().filter_map(|vip| self.seen.status.vips.get(vip.index()));
        let addresses: Vec<String> = addresses.iter().map(ToString::to_string).collect();
        out.raw("<tr role=\"row\"><th scope=\"row\" role=\"rowheader\">");
        if addresses.len() != 1 || addresses[0] != *group.name {
            out.text(&group.name).raw(" ");
        }
        let (shown, folded) = addresses.split_at(addresses.len().min(ADDRESSES_SHOWN));
        out.element("<span class=\"mono\">", shown.join(" "), "</span>");
        if !folded.is_empty() {
            out.raw("<details><summary>").text(format_args!("and {} more", folded.len()));
            out.element("</summary><span class=\"mono\">", folded.join(" "), "</span></details>");
        }
        out.raw("</th><td role=\"cell\" data-label=\"Holder\"><div>");
        match &group.present {
            Some(holder) if vips.clone().any(|vip| vip.contested_by.is_some()) => {
                out.element(
                    "<span class=\"word bad\">",
                    holder,
                    "</span> <small>contested</small>",
                );
            }
            Some(holder) => {
                out.element("<span class=\"word good\">", holder, "</span>");
            }
            None => {
                out.raw("<span class=\"word bad\">nobody</span>");
            }
        }
        if let Some(moving) = &group.moving {
            out.element(" <small>", moving, "</small>");
        }
        if let Some(lease) = &group.lease {
            self::lease(out, lease);
        }
        out.raw("</div></td><td role=\"cell\" data-label=\"Why\"><div>").text(&group.reason);
        if let Some(placed) = &group.placed {
            out.raw(" <small>(placed on ").text(placed).raw(" by the operator)</small>");
        }
        out.raw("</div></td></tr>");
    }

    fn nodes(&self) -> String {
        let mut out = Markup::default();
        out.raw(
            "<section id=\"nodes\" aria-labelledby=\"h-nodes\"><h2 id=\"h-nodes\">Nodes</h2>\
             <table role=\"table\"><thead role=\"rowgroup\"><tr role=\"row\">\
             <th scope=\"col\" role=\"columnheader\">Node</th>\
             <th scope=\"col\" role=\"columnheader\">State</th>\
             <th scope=\"col\" role=\"columnheader\" class=\"number\">Holds</th>\
             <th scope=\"col\" role=\"columnheader\" class=\"number\">Round trip</th></tr></thead>\
             <tbody role=\"rowgroup\">",
        );
        for (node, told) in self.cluster.status.nodes.iter().zip(self.list("nodes")) {
            let state = told["state"].as_str().unwrap_or_default();
            out.raw("<tr role=\"row\"><th scope=\"row\" role=\"rowheader\">").text(&node.name);
            if node.is_this {
                out.raw(" <small>this node</small>");
            }
            out.raw("</th><td role=\"cell\" data-label=\"State\"><div><span class=\"word ");
            out.raw(match state {
                "takes part" => "good",
                "dead" | "daemon gone" | "other file" | "out of reach" => "bad",
                _ => "warn",
            });
            out.raw("\">").text(state).raw("</span>");
            if node.draining {
                out.raw(" <span class=\"word warn\">drained</span>");
            }
            if node.witness {
                out.raw(" <small>witness</small>");
            }
            if let Some(trouble) = &node.trouble {
                out.element(" <small>", trouble, "</small>");
            }
            let groups = self.cluster.groups();
            let held = groups.filter(|(group, _)| group.present.as_ref() == Some(&node.name));
            let held: usize = held.map(|(_, addresses)| addresses.len()).sum();
            out.raw("</div></td><td role=\"cell\" data-label=\"Holds\" class=\"number\">");
            out.text(held)
                .raw("</td><td role=\"cell\" data-label=\"Round trip\" class=\"number\">");
            if let Some(trip) = node.round_trip.filter(|_| !node.is_this && state == "takes part") {
                out.text(rounded(trip));
            }
            out.raw("</td></tr>");
        }
        out.raw("</tbody></table></section>");
        out.finish()
    }

    fn story(&self) -> String {
        let mut out = Markup::default();
        out.raw(
            "<section id=\"story\" aria-labelledby=\"h-story\"><h2 id=\"h-story\">What happened</h2>\
             <ol>",
        );
        for told in self.ledger.story.iter().rev().take(STORY_SHOWN) {
            out.raw("<li class=\"").raw(class_of(told)).raw("\">").time(told.at);
            out.element("<p>", &told.message, "</p></li>");
        }
        if self.ledger.story.is_empty() {
            out.raw("<li><p>Nothing yet.</p></li>");
        }
        out.raw("</ol></section>");
        out.finish()
    }

    fn paths(&self) -> String {
        let mut out = Markup::default();
        out.raw(
            "<section id=\"paths\" aria-labelledby=\"h-paths\"><h2 id=\"h-paths\">Heartbeat paths</h2>\
             <table role=\"table\"><thead role=\"rowgroup\"><tr role=\"row\">\
             <th scope=\"col\" role=\"columnheader\">From</th>\
             <th scope=\"col\" role=\"columnheader\">State</th>\
             <th scope=\"col\" role=\"columnheader\" class=\"number\">Received</th>\
             <th scope=\"col\" role=\"columnheader\" class=\"number\">Lost</th></tr></thead>\
             <tbody role=\"rowgroup\">",
        );
        for node in self.cluster.status.nodes.iter().filter(|node| !node.is_this) {
            let peers = &self.seen.status.peers;
            let peer = peers.iter().find(|peer| peer.name == node.name);
            let addresses = peer.map(|peer| peer.addresses.as_slice()).unwrap_or_default();
            for (number, address) in addresses.iter().enumerate() {
                self.path(&mut out, node, number, &address.to_string());
            }
        }
        out.raw("</tbody></table></section>");
        out.finish()
    }

    fn path(&self, out: &mut Markup, node: &NodeStatus, number: usize, address: &str) {
        let nothing = PathTraffic::default();
        let traffic = node.traffic.paths.get(number).unwrap_or(&nothing);
        let heard = node.paths.get(number).copied().flatten();
        out.raw("<tr role=\"row\"><th scope=\"row\" role=\"rowheader\">").text(&node.name);
        out.element(" <span class=\"mono\">", address, "</span></th>");
        out.raw("<td role=\"cell\" data-label=\"State\"><div>");
        match heard {
            None => {
                out.raw("<span class=\"word bad\">never heard</span>");
            }
            Some(ago) if ago > patience(traffic) => {
                out.raw("<span class=\"word warn\">silent</span> <small>heard ");
                out.time(self.now.checked_sub(ago).unwrap_or(self.now)).raw("</small>");
            }
            Some(_) => {
                out.raw("<span class=\"word good\">carries</span>");
            }
        }
        out.raw("</div></td><td role=\"cell\" data-label=\"Received\" class=\"number\">");
        out.text(traffic.received);
        out.raw("</td><td role=\"cell\" data-label=\"Lost\" class=\"number\"><div>");
        out.text(traffic.lost);
        let all = traffic.lost.saturating_add(traffic.received).max(1);
        let tenths = traffic.lost.saturating_mul(1000) / all;
        let share = format!("{}.{} %", tenths / 10, tenths % 10);
        out.element(" <small>", share, "</small></div></td></tr>");
    }

    fn checks(&self) -> String {
        let mut out = Markup::default();
        let checks = self.list("checks");
        if checks.is_empty() {
            out.raw("<section id=\"checks\" hidden></section>");
            return out.finish();
        }
        out.raw(
            "<section id=\"checks\" aria-labelledby=\"h-checks\"><h2 id=\"h-checks\">Checks by this \
             node</h2><table role=\"table\"><thead role=\"rowgroup\"><tr role=\"row\">\
             <th scope=\"col\" role=\"columnheader\">Check</th>\
             <th scope=\"col\" role=\"columnheader\">Of</th>\
             <th scope=\"col\" role=\"columnheader\">State</th></tr></thead>\
             <tbody role=\"rowgroup\">",
        );
        for (number, check) in checks.iter().enumerate() {
            let told = |key: &str| check[key].as_str().unwrap_or_default();
            let named = self.ledger.check_names.get(number).map_or(told("check"), String::as_str);
            out.element("<tr role=\"row\"><th scope=\"row\" role=\"rowheader\">", named, "</th>");
            out.raw("<td role=\"cell\" data-label=\"Of\"><span class=\"mono\">").text(told("vip"));
            out.raw("</span></td><td role=\"cell\" data-label=\"State\"><div><span class=\"word ");
            out.raw(match told("state") {
                "passing" => "good",
                "failing" => "bad",
                _ => "faint",
            });
            out.element("\">", told("state"), "</span>");
            if told("state") == "failing" {
                out.element(" <small>", told("last_failure"), "</small>");
            }
            out.raw("</div></td></tr>");
        }
        out.raw("</tbody></table></section>");
        out.finish()
    }
}

fn lease(out: &mut Markup, lease: &LeaseStatus) {
    if let Some(waits) = &lease.waits {
        out.element(" <small>lease: ", waits, "</small>");
    } else if lease.left.is_some() {
        let votes = format!("{} of {} votes", lease.votes, lease.needed);
        out.element(" <small>lease with ", votes, "</small>");
    }
}

fn class_of(told: &Told) -> &'static str {
    match (told.level, told.name) {
        (Level::Error, _) => "bad",
        (Level::Warn, _) => "warn",
        (_, "claimed") => "taken",
        _ => "",
    }
}

/// A path is silent when nothing came for several times its usual gap.
fn patience(traffic: &PathTraffic) -> Duration {
    let count = u32::try_from(traffic.gaps.count()).unwrap_or(u32::MAX).max(1);
    traffic.gaps.sum() / count * 5 + Duration::from_secs(1)
}

/// So that a figure that hardly changes is not shown as another one every second.
fn rounded(trip: Duration) -> String {
    let micros = trip.as_micros();
    match micros {
        0..100 => "under 0.1 ms".to_owned(),
        100..10_000 => format!("{}.{} ms", micros / 1000, micros % 1000 / 100),
        _ => format!("{} ms", micros / 1000),
    }
}

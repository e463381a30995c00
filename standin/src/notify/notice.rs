//! What a webhook is told: one thing that happened, or many that are the same but for the address.
//!
//! Owns which reports are told and the shape of the JSON. Invariant: an event's id is its own for
//! ever, whatever run or node it comes from; how much it lists is bounded.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Map, json};
use standin_core::Report;
use standin_core::cluster::report::ClusterReport;
use standin_core::report::Level;

use super::Places;
use crate::address_map::AddressSet;
use crate::file::WebhookEvent;
use crate::log::{Event, rfc3339};

/// An event lists at most so many addresses, and says how many there are.
const LISTED_MOST: usize = 256;

/// One thing to tell.
#[derive(Debug, Clone, PartialEq)]
pub struct Notice {
    /// What kind of thing.
    pub event: WebhookEvent,
    /// What tells it from every other.
    pub id: String,
    at: SystemTime,
    scene: Arc<Scene>,
    incarnation: u64,
    vips: Vec<IpAddr>,
    vip_count: usize,
    groups: Vec<Arc<str>>,
    peer: Option<String>,
    standing_in: Option<bool>,
    why: String,
    logged: Event,
}

impl Notice {
    /// Makes another one part of this one, if it is the same but for the address.
    pub fn takes(&mut self, other: &Self) -> bool {
        let reason = |notice: &Self| {
            let fields = notice.logged.fields.iter();
            fields.clone().find(|(key, _)| *key == "reason").map(|(_, value)| value.clone())
        };
        let is_same = self.event == other.event
            && self.logged.name == other.logged.name
            && self.standing_in == other.standing_in
            && !self.vips.is_empty()
            && !other.vips.is_empty()
            && reason(self) == reason(other)
            && !self.vips.iter().any(|vip| other.vips.contains(vip));
        if is_same {
            self.vip_count += other.vip_count;
            let vips = other.vips.iter().take(LISTED_MOST.saturating_sub(self.vips.len()));
            self.vips.extend(vips);
            let new = other.groups.iter().filter(|group| !self.groups.contains(group)).cloned();
            let room = LISTED_MOST.saturating_sub(self.groups.len());
            let new: Vec<_> = new.take(room).collect();
            self.groups.extend(new);
        }
        is_same
    }

    /// What is sent: the `sequence`-th event of a webhook.
    pub fn to_json(&self, sequence: u64) -> String {
        let mut logged = Map::new();
        logged.insert("event".to_owned(), self.logged.name.into());
        logged.insert("level".to_owned(), self.logged.level.name().into());
        for (key, value) in &self.logged.fields {
            logged.entry(*key).or_insert_with(|| value.clone());
        }
        let groups: Vec<&str> = self.groups.iter().map(|group| &**group).collect();
        json!({
            "id": self.id,
            "event": self.event.name(),
            "sequence": sequence,
            "incarnation": self.incarnation,
            "time": rfc3339(self.at),
            "cluster": self.scene.cluster,
            "node": self.scene.node,
            "vips": self.vips,
            "vip_count": self.vip_count,
            "groups": groups,
            "peer": self.peer,
            "standing_in": self.standing_in,
            "why": self.why,
            "text": self.text(),
            "log": logged,
        })
        .to_string()
    }

    /// All of it as one sentence for people.
    fn text(&self) -> String {
        let node = &self.scene.node;
        let Some(first) = self.vips.first() else {
            return format!("{node}: {}", self.logged.message);
        };
        let more = match self.vip_count - 1 {
            0 => String::new(),
            1 => " and one more".to_owned(),
            more => format!(" and {more} more"),
        };
        match (self.event, self.standing_in) {
            (WebhookEvent::Take, Some(true)) => {
                format!("{node} stands in with {first}{more}: {}", self.why)
            }
            (WebhookEvent::Take, _) => format!("{node} has taken {first}{more}: {}", self.why),
            (WebhookEvent::Release, _) => {
                format!("{node} has given up {first}{more}: {}", self.why)
            }
            _ if more.is_empty() => format!("{node}: {}", self.logged.message),
            _ => format!("{node}: {};{more} like it", self.logged.message),
        }
    }
}

/// Where it happens: the names of one configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scene {
    /// The cluster's name.
    pub cluster: String,
    /// This node's name.
    pub node: String,
    /// The group of every VIP, and the group's home.
    pub places: Places,
}

/// Turns reports into notices.
#[derive(Debug)]
pub struct Teller {
    incarnation: u64,
    /// Notices so far.
    count: u64,
    scene: Arc<Scene>,
    /// The VIPs that are here.
    held: AddressSet,
    /// Why each group is where it is.
    decisions: BTreeMap<Arc<str>, String>,
    /// Checks of a VIP that fail.
    failing: BTreeSet<(Arc<str>, IpAddr)>,
    /// Nodes whose daemon has gone.
    gone: BTreeSet<Arc<str>>,
}

impl Teller {
    /// Of a run that began at this time.
    pub fn new(started: SystemTime) -> Self {
        let since = started.duration_since(UNIX_EPOCH).unwrap_or_default();
        Self {
            // Enough for some hundred million years.
            incarnation: since.as_millis() as u64,
            count: 0,
            scene: Arc::default(),
            held: AddressSet::default(),
            decisions: BTreeMap::new(),
            failing: BTreeSet::new(),
            gone: BTreeSet::new(),
        }
    }

    /// Another configuration is in effect.
    pub fn enter(&mut self, scene: Scene) {
        self.failing.retain(|(_, vip)| scene.places.contains(*vip));
        self.scene = Arc::new(scene);
    }

    /// What is to be told of a report that was carried out at `at` and logged as `event`, if
    /// anything is.
    pub fn notice(&mut self, report: &Report, event: &Event, at: SystemTime) -> Option<Notice> {
        let kind = self.kind(report)?;
        self.count += 1;
        let field = |name: &str| {
            let found = event.fields.iter().find(|(key, _)| *key == name);
            found.and_then(|(_, value)| value.as_str()).map(str::to_owned)
        };
        let place = report.vip().and_then(|vip| self.scene.places.get(vip));
        let group = place.map(|(group, _)| group.clone());
        let group = group.or_else(|| field("group").map(Arc::from));
        let home = place.and_then(|(_, home)| home.as_deref());
        let is_move = matches!(kind, WebhookEvent::Take | WebhookEvent::Release);
        let decision = group.as_ref().filter(|_| is_move).and_then(|it| self.decisions.get(it));
        let takes = kind == WebhookEvent::Take;
        Some(Notice {
            event: kind,
            id: format!("{}-{}-{}", self.scene.node, self.incarnation, self.count),
            at,
            scene: self.scene.clone(),
            incarnation: self.incarnation,
            vips: report.vip().into_iter().collect(),
            vip_count: usize::from(report.vip().is_some()),
            groups: group.clone().into_iter().collect(),
            peer: field("peer").or_else(|| field("node")),
            standing_in: home.filter(|_| takes).map(|home| home != self.scene.node),
            why: decision.cloned().unwrap_or_else(|| of_reason(report, &event.message)),
            logged: event.clone(),
        })
    }

    /// What a report is to a webhook; none when nobody is told.
    fn kind(&mut self, report: &Report) -> Option<WebhookEvent> {
        Some(match report {
            // One that an earlier run, or configuration, has left to this one is no news.
            Report::Claimed { vip, .. } => {
                let known = self.held.insert(*vip, ()).is_some();
                (!known).then_some(WebhookEvent::Take)?
            }
            Report::Released { vip, .. } => {
                self.held.remove(*vip);
                WebhookEvent::Release
            }
            Report::Lapsed { vip, .. } => {
                self.held.remove(*vip);
                WebhookEvent::Lost
            }
            Report::Conflict { .. } | Report::Duplicate { .. } => WebhookEvent::Conflict,
            Report::PeerDead { .. } => WebhookEvent::PeerDead,
            Report::PeerAlive { dead_for, .. } => dead_for.map(|_| WebhookEvent::PeerAlive)?,
            Report::CheckFailing { check, vip, .. } => {
                self.failing.insert((check.clone(), *vip));
                WebhookEvent::CheckFailing
            }
            Report::CheckPassing { check, vip } => {
                let failed = self.failing.remove(&(check.clone(), *vip));
                failed.then_some(WebhookEvent::CheckPassing)?
            }
            Report::Cluster(report) => self.kind_in_cluster(report)?,
            other => (other.level() >= Level::Warn).then_some(WebhookEvent::Warning)?,
        })
    }

    fn kind_in_cluster(&mut self, report: &ClusterReport) -> Option<WebhookEvent> {
        Some(match report {
            ClusterReport::Placed { group, sentence, .. } => {
                self.decisions.insert(group.clone(), sentence.clone());
                return None;
            }
            ClusterReport::LeaseLost { .. } => WebhookEvent::Lost,
            ClusterReport::CutOff => WebhookEvent::Doubt,
            ClusterReport::DaemonGone { node, .. } => {
                self.gone.insert(node.clone());
                WebhookEvent::DaemonGone
            }
            ClusterReport::MemberJoined { node, .. } => {
                self.gone.remove(node).then_some(WebhookEvent::DaemonBack)?
            }
            other => (other.level() >= Level::Warn).then_some(WebhookEvent::Warning)?,
        })
    }
}

/// Why, by the report alone.
fn of_reason(report: &Report, message: &str) -> String {
    match report {
        Report::Claimed { home, reason, .. } | Report::Released { home, reason, .. } => {
            reason.sentence(home).to_string()
        }
        _ => message.to_owned(),
    }
}

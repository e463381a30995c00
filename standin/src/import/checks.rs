//! `track_script` and `track_interface`: what makes a node fit for a group becomes a check.
//!
//! keepalived adds weights to priorities; a check here says fit or not fit. So a weight is followed
//! when a failure alone would have moved the address, and listed when it would not.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::draft::DraftCheck;
use super::groups::Group;
use super::model::{Configuration, Script, Tracked};
use super::nodes::is_name;
use super::remarks::{Kind, Remark, Remarks};
use super::texts::Place;

/// What keepalived takes when nothing is said.
const DEFAULT_INTERVAL: Duration = Duration::from_secs(1);
/// The bounds of a check here.
const INTERVALS: (Duration, Duration) = (Duration::from_millis(10), Duration::from_hours(1));
const MOST_COUNT: u32 = 100;

/// The checks of a cluster, made when they are first named.
#[derive(Debug, Default)]
pub struct Checks {
    list: Vec<DraftCheck>,
    /// Names of scripts, and of interfaces, to names of checks.
    names: BTreeMap<(bool, String), String>,
    /// Where each script was read first.
    seen: BTreeMap<String, (Place, DraftCheck)>,
}

impl Checks {
    /// The checks, in the order in which they were named.
    pub fn finish(self) -> Vec<DraftCheck> {
        self.list
    }

    /// The names of the checks of a group.
    pub fn of(
        &mut self,
        group: &Group<'_>,
        configurations: &[Configuration],
        interface: Option<&str>,
        remarks: &mut Remarks,
    ) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        for (node, tracking) in &group.tracking {
            let Some(configuration) = configurations.get(*node) else { continue };
            for tracked in &tracking.scripts {
                let name = self.script(group, *node, tracked, configuration, remarks);
                names.extend(name.filter(|name| !names.contains(name)));
            }
            for tracked in &tracking.links {
                if interface == Some(tracked.name.as_str()) && tracked.weight.unwrap_or(0) == 0 {
                    let text = "the link of the VIP's own interface is always watched";
                    remarks.push(Remark::new(Kind::NotNeeded, tracked.place, &*tracked.name, text));
                    continue;
                }
                let name = self.link(group, *node, tracked, remarks);
                names.extend(name.filter(|name| !names.contains(name)));
            }
        }
        only_on_some(group, remarks);
        names
    }

    fn script(
        &mut self,
        group: &Group<'_>,
        node: usize,
        tracked: &Tracked,
        configuration: &Configuration,
        remarks: &mut Remarks,
    ) -> Option<String> {
        let script = configuration.scripts.iter().find(|script| script.name == tracked.name);
        let Some(script) = script.filter(|script| !script.command.is_empty()) else {
            let text = "there is no vrrp_script with a command of this name";
            remarks.push(Remark::new(Kind::Left, tracked.place, &*tracked.name, text));
            return None;
        };
        let weight = tracked.weight.or(script.weight).unwrap_or(0);
        let is_reversed = tracked.is_reversed || tracked.weight.is_none() && script.is_reversed;
        counts(group, node, tracked, weight, is_reversed, remarks).then_some(())?;
        let draft = draft(script, remarks);
        match self.seen.get(&tracked.name) {
            Some((_, first)) if same(first, &draft) => {}
            Some((place, _)) if *place == script.place => {}
            Some(_) => {
                let text = "another node's file has another script of this name; that one is taken";
                let remark = Remark::new(Kind::Left, script.place, &*script.name, text);
                remarks.push(remark.advise(
                    "checks may differ from node to node: change it in this \
                                       node's own standin.toml",
                ));
            }
            None => {
                self.seen.insert(tracked.name.clone(), (script.place, draft.clone()));
            }
        }
        Some(self.add(false, &tracked.name, draft))
    }

    /// A link that is watched besides: the kernel's file on it says 1 while it has a carrier.
    fn link(
        &mut self,
        group: &Group<'_>,
        node: usize,
        tracked: &Tracked,
        remarks: &mut Remarks,
    ) -> Option<String> {
        let weight = tracked.weight.unwrap_or(0);
        counts(group, node, tracked, weight, tracked.is_reversed, remarks).then_some(())?;
        let text = "its link is asked for once a second; keepalived hears of it from the kernel";
        remarks.push(Remark::new(Kind::Changed, tracked.place, &*tracked.name, text));
        let file = format!("/sys/class/net/{}/carrier", tracked.name);
        let command = ["grep", "-qx", "1", &file].map(str::to_owned).to_vec();
        let draft = DraftCheck {
            name: format!("link-{}", tracked.name),
            command,
            interval: DEFAULT_INTERVAL,
            timeout: DEFAULT_INTERVAL,
            rise: 1,
            fall: 1,
        };
        Some(self.add(true, &tracked.name, draft))
    }

    fn add(&mut self, is_link: bool, key: &str, mut draft: DraftCheck) -> String {
        let key = (is_link, key.to_owned());
        if let Some(name) = self.names.get(&key) {
            return name.clone();
        }
        let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        let name: String = draft.name.chars().map(|c| if legal(c) { c } else { '-' }).collect();
        let name: String = name.trim_start_matches('-').chars().take(50).collect();
        let name = if is_name(&name) { name } else { "check".to_owned() };
        let taken = |name: &str, list: &[DraftCheck]| list.iter().any(|check| check.name == name);
        let mut free = name.clone();
        for number in 2.. {
            if !taken(&free, &self.list) {
                break;
            }
            free = format!("{name}-{number}");
        }
        draft.name.clone_from(&free);
        self.list.push(draft);
        self.names.insert(key, free.clone());
        free
    }
}

/// Everything but the name, which is the script's.
fn same(one: &DraftCheck, other: &DraftCheck) -> bool {
    DraftCheck { name: String::new(), ..one.clone() }
        == DraftCheck { name: String::new(), ..other.clone() }
}

/// Scripts that no instance and no group tracks; keepalived does not run them either.
pub fn untracked(groups: &[Group<'_>], configurations: &[Configuration], remarks: &mut Remarks) {
    for (node, configuration) in configurations.iter().enumerate() {
        let tracked: BTreeSet<&str> = groups
            .iter()
            .flat_map(|group| &group.tracking)
            .filter(|(of, _)| *of == node)
            .flat_map(|(_, tracking)| &tracking.scripts)
            .map(|tracked| tracked.name.as_str())
            .collect();
        let idle = configuration.scripts.iter();
        for script in idle.filter(|script| !tracked.contains(script.name.as_str())) {
            let text = "nothing tracks it, so that keepalived does not run it either";
            remarks.push(Remark::new(Kind::Left, script.place, &*script.name, text));
        }
    }
}

/// A check is made on every node, whichever file it comes from.
fn only_on_some(group: &Group<'_>, remarks: &mut Remarks) {
    let nodes: BTreeSet<usize> = group.members.iter().map(|member| member.node).collect();
    let of = |name: &str, is_link: bool| {
        let tracking = group.tracking.iter().filter(|(_, tracking)| {
            let list = if is_link { &tracking.links } else { &tracking.scripts };
            list.iter().any(|tracked| tracked.name == name)
        });
        tracking.map(|(node, _)| *node).collect::<BTreeSet<usize>>().len()
    };
    for (_, tracking) in &group.tracking {
        let scripts = tracking.scripts.iter().map(|tracked| (tracked, false));
        let links = tracking.links.iter().map(|tracked| (tracked, true));
        for (tracked, is_link) in scripts.chain(links) {
            if of(&tracked.name, is_link) < nodes.len() {
                let text = "not every node's file tracks it; every node makes the check now";
                remarks.push(Remark::new(Kind::Changed, tracked.place, &*tracked.name, text));
            }
        }
    }
}

/// Whether a failure would have moved the address away, and says so when that is not certain.
fn counts(
    group: &Group<'_>,
    node: usize,
    tracked: &Tracked,
    weight: i32,
    is_reversed: bool,
    remarks: &mut Remarks,
) -> bool {
    let remark = |kind, text: String| Remark::new(kind, tracked.place, &*tracked.name, text);
    if is_reversed {
        let text = "reverse: a check is passed when the command ends with 0, never otherwise";
        remarks.push(remark(Kind::Left, text.into()).advise("turn the command round: sh -c '! …'"));
        return false;
    }
    // keepalived sets the weights in a sync group to zero.
    if weight == 0 || group.sync.is_some() {
        return true;
    }
    let Some(own) = group.rank(node) else { return true };
    let nodes: BTreeSet<usize> = group.members.iter().map(|member| member.node).collect();
    let mut ranks: Vec<u32> = nodes.iter().filter_map(|node| group.rank(*node)).collect();
    ranks.sort_unstable_by(|one, other| other.cmp(one));
    let (Some(highest), Some(second)) = (ranks.first(), ranks.get(1)) else {
        let text = format!(
            "its weight of {weight} is not followed: a node whose check fails is not fit at all"
        );
        remarks.push(remark(Kind::Changed, text));
        return true;
    };
    let gap = highest.abs_diff(*second);
    if weight.unsigned_abs() > gap {
        let text = format!(
            "its weight of {weight} outdoes the {gap} between the priorities: a node whose check \
             fails is not fit at all; weights are not added up"
        );
        remarks.push(remark(Kind::Changed, text));
        return true;
    }
    if own == *highest {
        let text = format!(
            "its weight of {weight} never outdoes the {gap} between the priorities, so that alone \
             it moves nothing"
        );
        remarks
            .push(remark(Kind::Left, text).advise("name it in check of the [[vip]], if it should"));
    } else {
        let text = format!("its weight of {weight} alone moves nothing");
        remarks.push(remark(Kind::Left, text));
    }
    false
}

fn draft(script: &Script, remarks: &mut Remarks) -> DraftCheck {
    let mut changed = |text: String| {
        remarks.push(Remark::new(Kind::Changed, script.place, &*script.name, text));
    };
    let wanted = script.interval.unwrap_or(DEFAULT_INTERVAL);
    let interval = wanted.clamp(INTERVALS.0, INTERVALS.1);
    if interval != wanted {
        changed(format!("its interval is {} now", crate::duration::show(interval)));
    }
    let timeout = script.timeout.unwrap_or(interval).max(Duration::from_millis(1));
    if timeout > interval {
        changed("its timeout is as long as its interval now: a run ends before the next".into());
    }
    let mut count = |what: &str, count: Option<u32>| {
        let count = count.unwrap_or(1);
        if count > MOST_COUNT {
            changed(format!("its {what} is {MOST_COUNT} now, the most there is"));
        }
        count.min(MOST_COUNT)
    };
    DraftCheck {
        name: script.name.clone(),
        command: script.command.clone(),
        interval,
        timeout: timeout.min(interval),
        rise: count("rise", script.rise),
        fall: count("fall", script.fall),
    }
}

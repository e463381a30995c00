//! The names that people use for what the core numbers.
//!
//! Owns the way from a name or an address to a number and the advice for one that is wrong. Never
//! asks the fast loop.

use std::net::IpAddr;
use std::sync::Arc;

use standin_core::cluster::settings::Settings;
use standin_core::place::NodeId;

use crate::failure::nearest;
use crate::file::{ClusterFile, Placement, VipGroup};
use crate::host::addresses_of_groups;

/// Of one configuration of a node.
#[derive(Debug, Clone)]
pub struct Directory {
    me: NodeId,
    nodes: Vec<Arc<str>>,
    groups: Vec<(Arc<str>, Vec<IpAddr>)>,
    /// The pools by name, each with its first address: every address of them is a group.
    pools: Vec<(String, IpAddr)>,
}

impl Directory {
    /// Of the cluster that a node is in. The addresses are the file's: some may never come here.
    pub fn of(settings: &Settings, file: &ClusterFile) -> Self {
        let names = settings.groups.iter().map(|group| group.name.clone());
        Self {
            me: settings.me,
            nodes: settings.names.clone(),
            groups: names.zip(addresses_of_groups(file)).collect(),
            pools: file.vips.iter().filter_map(pool).collect(),
        }
    }

    /// This node's name.
    pub fn own_name(&self) -> &str {
        &self.nodes[self.me.index()]
    }

    /// A node by its name, whose case does not count.
    ///
    /// # Errors
    /// There is none of that name: a sentence.
    pub fn node(&self, name: &str) -> Result<NodeId, String> {
        let position = self.nodes.iter().position(|node| node.eq_ignore_ascii_case(name));
        let Some(position) = position else {
            let names = self.nodes.iter().map(|node| &**node);
            return Err(match nearest(name, names.clone()) {
                Some(meant) => format!("there is no node '{name}': did you mean {meant}?"),
                None => format!(
                    "there is no node '{name}': expected one of {}",
                    names.collect::<Vec<_>>().join(", ")
                ),
            });
        };
        // There are at most 64.
        Ok(NodeId(position as u16))
    }

    /// A group by its name, or by one of its addresses.
    ///
    /// # Errors
    /// There is no such group: a sentence.
    pub fn group(&self, name: &str) -> Result<usize, String> {
        if let Ok(address) = name.parse::<IpAddr>() {
            let holds = |(_, vips): &(Arc<str>, Vec<IpAddr>)| vips.contains(&address);
            return self.groups.iter().position(holds).ok_or_else(|| {
                let first = self.groups.first().and_then(|(_, vips)| vips.first());
                let example = first.map(|vip| format!(", such as {vip}")).unwrap_or_default();
                format!("{address} is no VIP of this cluster: expected one{example}")
            });
        }
        if let Some((pool, first)) = self.pools.iter().find(|(pool, _)| pool == name) {
            return Err(format!(
                "{pool} is a pool, whose addresses move one by one: name one of them, such as {first}"
            ));
        }
        let position = self.groups.iter().position(|(group, _)| &**group == name);
        position.ok_or_else(|| match nearest(name, self.groups.iter().map(|(group, _)| &**group)) {
            Some(meant) => format!("there is no VIP '{name}': did you mean {meant}?"),
            None => {
                format!("there is no VIP '{name}': expected an address, or the name of a [[vip]]")
            }
        })
    }

    /// A group's name and addresses.
    pub fn group_at(&self, group: usize) -> Option<(&str, &[IpAddr])> {
        self.groups.get(group).map(|(name, vips)| (&**name, vips.as_slice()))
    }

    /// The groups with their addresses, by number.
    pub fn groups(&self) -> impl Iterator<Item = (&Arc<str>, &[IpAddr])> {
        self.groups.iter().map(|(name, vips)| (name, vips.as_slice()))
    }

    /// A node's name.
    pub fn node_at(&self, node: NodeId) -> &str {
        self.nodes.get(node.index()).map_or("a node that is not in the file", |name| name)
    }
}

/// The name and the first address of a `[[vip]]` that is a pool.
fn pool(vips: &VipGroup) -> Option<(String, IpAddr)> {
    match vips.placement {
        Placement::Spread(_) => Some((vips.name.clone(), vips.ranges.first()?.first())),
        Placement::Ordered(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn directory() -> Directory {
        let address = |text: &str| text.parse().expect("an address");
        Directory {
            me: NodeId(1),
            nodes: vec!["pinky".into(), "brain".into()],
            groups: vec![
                ("web".into(), vec![address("10.0.0.9"), address("fd00::9")]),
                ("10.0.0.10".into(), vec![address("10.0.0.10")]),
            ],
            pools: vec![("pool".into(), address("10.0.0.10"))],
        }
    }

    #[test]
    fn names_and_addresses_become_numbers() {
        let directory = directory();
        assert_eq!(directory.own_name(), "brain");
        assert_eq!(directory.node("Pinky"), Ok(NodeId(0)));
        for (name, group) in [("web", 0), ("10.0.0.9", 0), ("fd00:0::9", 0), ("10.0.0.10", 1)] {
            assert_eq!(directory.group(name), Ok(group), "{name}");
        }
    }

    #[test]
    fn what_is_wrong_is_said_with_what_may_have_been_meant() {
        let directory = directory();
        for (said, wanted) in [
            (directory.node("brian").err(), "did you mean brain?"),
            (directory.node("xyzzy").err(), "expected one of pinky, brain"),
            (directory.group("wep").err(), "did you mean web?"),
            (directory.group("WEB").err(), "did you mean web?"),
            (directory.group("pool").err(), "name one of them, such as 10.0.0.10"),
            (directory.group("10.0.0.11").err(), "expected one, such as 10.0.0.9"),
        ] {
            let said = said.expect("an error");
            assert!(said.contains(wanted), "{said}");
        }
    }
}

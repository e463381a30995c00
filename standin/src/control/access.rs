//! Who may do what at the control socket.
//!
//! Reading needs no more than the socket's permissions. What changes something is for root, the
//! user that runs the daemon, and the group that the configuration names. Groups are looked up in
//! `/etc/group` alone: a directory service could block.

use std::fs;
use std::path::{Path, PathBuf};

use standin_sys::process;

use crate::failure::{Failure, Result, nearest};
use crate::file::Control;

/// The permissions of a socket for which nothing else is said.
const DEFAULT_MODE: u32 = 0o660;

/// Where the socket is, and for whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Access {
    /// Its path.
    pub path: PathBuf,
    /// Its permissions.
    pub mode: u32,
    /// The group it belongs to, by name or number; none: that of the process.
    pub group: Option<String>,
}

impl Access {
    /// A socket at `path` for the daemon's user and group.
    pub fn to(path: &Path) -> Self {
        Self { path: path.into(), mode: DEFAULT_MODE, group: None }
    }

    /// What a file says of it.
    pub fn of(control: &Control) -> Self {
        let Control { socket, mode, group } = control;
        Self { path: socket.clone(), mode: *mode, group: group.clone() }
    }
}

/// Whose word changes something.
#[derive(Debug, Clone)]
pub(super) struct Trusted {
    user: u32,
    group: Option<u32>,
    /// Users that `/etc/group` lists in the group.
    members: Vec<u32>,
}

impl Trusted {
    /// Of a group that was named.
    ///
    /// # Errors
    /// There is no such group.
    pub(super) fn of(group: Option<&str>) -> Result<Self> {
        let user = process::user();
        let Some(named) = group else {
            return Ok(Self { user, group: None, members: Vec::new() });
        };
        let groups = fs::read_to_string("/etc/group").unwrap_or_default();
        let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
        let (id, members) = find(&groups, &users, named)?;
        Ok(Self { user, group: Some(id), members })
    }

    /// The number of the group.
    pub(super) fn group(&self) -> Option<u32> {
        self.group
    }

    /// Whether a process of this user and group may change something.
    pub(super) fn includes(&self, user: u32, group: u32) -> bool {
        user == 0 || user == self.user || self.group == Some(group) || self.members.contains(&user)
    }
}

/// The number of a group in a text of `/etc/group`, by name or number.
///
/// # Errors
/// There is no such group.
pub(crate) fn group_named(groups: &str, named: &str) -> Result<u32> {
    find(groups, "", named).map(|(id, _)| id)
}

/// A group's number and its listed members, from the texts of `/etc/group` and `/etc/passwd`.
fn find(groups: &str, users: &str, named: &str) -> Result<(u32, Vec<u32>)> {
    let lines = groups.lines().map(|line| line.split(':').collect::<Vec<_>>());
    let lines: Vec<_> = lines.filter(|fields| fields.len() == 4).collect();
    let wanted: Option<u32> = named.parse().ok();
    let found = lines
        .iter()
        .filter_map(|fields| Some((fields[0], fields[2].parse::<u32>().ok()?, fields[3])))
        .find(|(name, id, _)| *name == named || Some(*id) == wanted);
    let Some((_, id, members)) = found else {
        if let Some(id) = wanted {
            return Ok((id, Vec::new()));
        }
        let failure = Failure::config(format!("there is no group '{named}' on this host"))
            .expected("the group of the control socket, as in /etc/group");
        return Err(match nearest(named, lines.iter().map(|fields| fields[0])) {
            Some(meant) => failure.advice(format!("did you mean {meant}?")),
            None => failure.advice(format!("groupadd --system {named}")),
        });
    };
    let members: Vec<&str> = members.split(',').collect();
    let number = |line: &str| {
        let fields: Vec<&str> = line.split(':').collect();
        fields.get(2).filter(|_| members.contains(&fields[0]))?.parse().ok()
    };
    Ok((id, users.lines().filter_map(number).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GROUPS: &str = "root:x:0:\nadm:x:4:syslog,ann\nweb:x:33:\n";
    const USERS: &str = "root:x:0:0::/root:/bin/sh\nann:x:1000:1000::/home/ann:/bin/sh\n";

    #[test]
    fn a_group_is_found_by_name_or_number_with_its_listed_members() {
        assert_eq!(find(GROUPS, USERS, "adm").expect("adm"), (4, vec![1000]));
        assert_eq!(find(GROUPS, USERS, "33").expect("33"), (33, vec![]));
        assert_eq!(find(GROUPS, USERS, "4711").expect("a bare number"), (4711, vec![]));
        let failure = find(GROUPS, USERS, "amd").expect_err("no such group");
        assert!(failure.to_string().contains("did you mean adm?"), "{failure}");
    }

    #[test]
    fn root_the_daemons_user_and_the_group_change_things_and_nobody_else() {
        let trusted = Trusted { user: 900, group: Some(4), members: vec![1000] };
        for (user, group, may) in
            [(0, 7, true), (900, 7, true), (7, 4, true), (1000, 1000, true), (7, 7, false)]
        {
            assert_eq!(trusted.includes(user, group), may, "{user}:{group}");
        }
    }
}

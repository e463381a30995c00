//! The checks of the services behind the VIPs.
//!
//! Owns when a check is to be run, at which address, and what follows from a result. Never runs one
//! and decides nothing: an opinion that has changed asks for another decision.

use alloc::string::String;
use alloc::vec::Vec;
use core::net::IpAddr;

use super::Node;
use crate::check;
use crate::config::{CheckId, Home, Vantage, VipId};
use crate::io::{Action, CheckTarget};
use crate::report::Report;
use crate::timers::Timer;

impl Node {
    pub(super) fn handle_check_timeout(&mut self, id: CheckId) {
        let check = &mut self.checks[id.index()];
        if check.handle_timeout(self.now) {
            self.actions.push_back(Action::RunCheck { check: id, target: check.target() });
        }
        self.schedule_check(id);
    }

    pub(super) fn handle_check(
        &mut self,
        id: CheckId,
        target: CheckTarget,
        result: Result<(), String>,
    ) {
        let Some(check) = self.checks.get_mut(id.index()) else { return };
        let settings = &self.config.checks[id.index()];
        let (name, vip) = (settings.name.clone(), self.config.vips[settings.vip.index()].address);
        if let Some(change) = check.handle_result(self.now, target, result) {
            self.undecided = true;
            self.actions.push_back(Action::Report(match change {
                check::Change::Passing => Report::CheckPassing { check: name, vip },
                check::Change::Failing(why) => Report::CheckFailing { check: name, vip, why },
                check::Change::NeverPassed(why, runs_left) => {
                    Report::CheckNeverPassed { check: name, vip, why, runs_left }
                }
            }));
        }
        self.schedule_check(id);
    }

    /// While a VIP is here its service at home is looked for at the home's real address.
    pub(super) fn aim_checks(&mut self, id: VipId) {
        if self.checks_of(id).next().is_none() {
            return;
        }
        let vip = &self.vips[id.index()];
        let same_family = |ip: &IpAddr| ip.is_ipv4() == vip.address().is_ipv4();
        let home = match vip.home() {
            Home::Here => return,
            Home::Peer(home) => {
                let addresses = &self.config.peers[home.index()].addresses;
                let mut family = addresses.iter().map(|a| a.ip).filter(same_family);
                family.next().or(addresses.first().map(|a| a.ip))
            }
            // A candidate looks at its own service, at its own real address.
            Home::Cluster => {
                let link = &self.links[vip.link().index()].state;
                let own = [link.ipv4.map(IpAddr::V4), link.ipv6.map(IpAddr::V6)];
                own.into_iter().flatten().find(same_family)
            }
        };
        let elsewhere = vip.is_on_host() == matches!(vip.home(), Home::Peer(_));
        let target = match home.filter(|_| elsewhere) {
            Some(address) => CheckTarget::Home(address),
            None => CheckTarget::Vip,
        };
        let own = |check: &CheckId| self.config.checks[check.index()].vantage == Vantage::OnItself;
        let aimed: Vec<CheckId> = self.checks_of(id).filter(own).collect();
        let in_cluster = vip.home() == Home::Cluster;
        for check in aimed {
            let aimed = &mut self.checks[check.index()];
            if in_cluster {
                aimed.redirect(self.now, target);
            } else {
                aimed.aim(self.now, target);
            }
            self.schedule_check(check);
        }
    }

    pub(super) fn checks_of(&self, vip: VipId) -> impl Iterator<Item = CheckId> + '_ {
        let from = self.checks_of.partition_point(|(other, _)| *other < vip);
        let own = self.checks_of[from..].iter().take_while(move |(other, _)| *other == vip);
        own.map(|(_, check)| *check)
    }

    pub(super) fn schedule_check(&mut self, id: CheckId) {
        self.timers.set(Timer::Check(id), self.checks[id.index()].timeout());
    }
}

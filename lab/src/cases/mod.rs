//! The cases: each a promise of `standin for`, `run`, `announce` or `send-arp`, held to on real kernels.
//!
//! Owns the list. A case is a function that builds its world, does something to it and waits for
//! what has to follow; it never sleeps in the hope that something has happened.

mod address;
mod announce;
pub mod cluster;
mod demo;
mod documentation;
mod doubt;
mod guard;
mod handback;
mod hands;
mod hardship;
mod manager;
mod notify;
pub mod page;
mod quorum;
mod quorum_hosts;
mod refusals;
mod routes;
mod service;
mod takeover;
mod topology;
mod upheaval;
mod voters;
mod watch;

use std::net::IpAddr;

use anyhow::Result;

use crate::daemon::Daemon;
use crate::story::Lab;
use crate::world::{BRAIN, Family, Host, World};

/// One case.
#[derive(Clone, Copy)]
pub struct Case {
    pub name: &'static str,
    pub about: &'static str,
    /// It judges time, so nothing runs beside it.
    pub alone: bool,
    pub run: fn(&Lab) -> Result<()>,
}

/// A case that may have neighbours.
const fn beside(name: &'static str, about: &'static str, run: fn(&Lab) -> Result<()>) -> Case {
    Case { name, about, alone: false, run }
}

/// A case that judges time.
const fn alone(name: &'static str, about: &'static str, run: fn(&Lab) -> Result<()>) -> Case {
    Case { name, about, alone: true, run }
}

/// Every case.
pub fn all() -> Vec<Case> {
    let rooms = [
        takeover::CASES,
        handback::CASES,
        service::CASES,
        doubt::CASES,
        demo::CASES,
        guard::CASES,
        hardship::CASES,
        cluster::CASES,
        routes::CASES,
        upheaval::CASES,
        topology::CASES,
        hands::CASES,
        quorum::CASES,
        quorum_hosts::CASES,
        manager::CASES,
        address::CASES,
        announce::CASES,
        page::CASES,
        documentation::CASES,
        notify::CASES,
        watch::CASES,
        refusals::CASES,
    ];
    rooms.concat()
}

/// Brain has its VIP, as an administrator would configure it, and the router knows it there.
fn brain_has_its_vip(world: &World<'_>, family: Family) -> Result<IpAddr> {
    let vip = family.vip(BRAIN);
    world.brain.configure(vip)?;
    let client = world.ask(vip, 200)?;
    client.wait_answered_by("brain", 0, crate::wait::PATIENCE)?;
    Ok(vip)
}

/// `host` stands in for Brain and has heard it.
fn stand_in_on(world: &World<'_>, host: &Host, family: Family, more: &str) -> Result<Daemon> {
    let (real, vip) = (family.real(BRAIN), family.vip(BRAIN));
    let daemon = host.standin_for(world.lab, &format!("{real} --vip {vip} {more}"))?;
    daemon.wait("peer-alive")?;
    Ok(daemon)
}

/// Pinky stands in for Brain and has heard it.
fn stand_in(world: &World<'_>, family: Family, more: &str) -> Result<Daemon> {
    stand_in_on(world, &world.pinky, family, more)
}

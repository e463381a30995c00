//! What is found out about this host before `standin for` starts, and refused.
//!
//! [`prepare`] turns valid options into a [`Prepared`]: HOST's addresses, the interface of every
//! address, what the core has to know of each interface, checks that are ready to run, and the
//! locks that keep a second standin from the same VIP. It changes nothing on the host: when it
//! refuses, nothing is left behind.

mod cluster;
mod ground;
mod kernel;
mod plan;
pub mod quorum;
mod resolve;
mod rights;
pub mod routes;
mod witness;

use std::net::IpAddr;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

pub use cluster::{PreparedCluster, addresses_of_groups, prepare_cluster, read_keys};
pub use ground::{ADDRESS_PROTO, Ground, Way, os};
pub use kernel::{Kernel, RealKernel};
use plan::{Called, Plan, Wish};
pub use resolve::{Resolved, resolve};
pub use rights::require;
use standin_core::config::{Check, Config, Home, LinkState, PeerId, Timing, Vantage};
use standin_core::io::CheckTarget;
use standin_core::wire::Mac;
use standin_sys::capability::Capability;
use standin_sys::instance::{InstanceLock, LockError};
use standin_sys::sysctl;
pub use witness::prepare_witness;

use crate::checks::{self, Prober, Target};
use crate::cli::ForOptions;
use crate::failure::{Code, Failure, Result};

/// The most addresses of one run that are locked.
const LOCKS_MAX: usize = 256;

/// How long a predecessor may take to leave, and how often it is looked for. A killed process
/// holds its locks until the kernel has taken it apart, some milliseconds on a busy machine.
const LOCK_PATIENCE: Duration = Duration::from_millis(300);
const LOCK_PAUSE: Duration = Duration::from_millis(10);

/// Everything a run needs, judged and ready.
#[derive(Debug)]
pub struct Prepared {
    /// What the core is told. Its ids are positions in the lists below.
    pub config: Config,
    /// The kernel's number of each interface, by [`LinkId`](standin_core::config::LinkId).
    pub ifindexes: Vec<u32>,
    /// How each VIP is installed, by [`VipId`](standin_core::config::VipId).
    pub installs: Vec<Install>,
    /// The metric of this cluster's routes, by which a run knows what is left over; none outside a
    /// cluster.
    pub route_metric: Option<u32>,
    /// How each check is run, by the core's `CheckId`.
    pub checks: Vec<PreparedCheck>,
    /// What is odd, but no reason to refuse: sentences for the log.
    pub warnings: Vec<String>,
    /// As long as these live, no other standin in this network namespace has the same VIPs.
    pub locks: Vec<(IpAddr, InstanceLock)>,
}

/// How a VIP is installed in the kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Install {
    /// The kernel's number of the interface.
    pub ifindex: u32,
    /// The address.
    pub address: IpAddr,
    /// The length of its prefix.
    pub prefix: u8,
    /// Its label, `eth0:brain`; none for IPv6.
    pub label: Option<String>,
    /// It is held as a part of a local route, not as an address of the interface.
    pub route: bool,
}

/// A check of one VIP.
#[derive(Debug, Clone)]
pub struct PreparedCheck {
    /// What runs it; shared between the VIPs it concerns.
    pub prober: Arc<Prober>,
    /// The VIP.
    pub vip: IpAddr,
    /// HOST as it was named.
    pub host: String,
    /// The kernel's number of the VIP's interface.
    pub ifindex: u32,
}

impl PreparedCheck {
    /// What a run against `target` is about.
    pub fn target(&self, target: CheckTarget) -> Target {
        let connect = match target {
            CheckTarget::Vip => self.vip,
            CheckTarget::Home(address) => address,
        };
        Target { connect, vip: self.vip, host: self.host.clone(), interface_index: self.ifindex }
    }
}

/// Finds out and judges everything.
///
/// # Errors
/// The first reason not to start.
pub fn prepare(options: &ForOptions) -> Result<Prepared> {
    require(&[Capability::NetAdmin, Capability::NetRaw])?;
    let probers = checks::probers(&options.checks)?;
    let host = resolve(&options.host)?;
    let addresses: Vec<IpAddr> = options.vips.iter().chain(&options.own).copied().collect();
    let locks = locks_for(&addresses, &[])?;
    let mut kernel = RealKernel::open().map_err(|error| os(&error))?;
    let nodename = sysctl::read("kernel/hostname").unwrap_or_default();
    let plan = plan(options, &host, &mut kernel, &nodename)?;
    let (checks, core_checks) = place_checks(&plan, options, probers);
    let config = Config::new(plan.links, plan.peers, plan.vips, core_checks, timing(options))
        .map_err(|error| Failure::config(error.to_string()))?;
    Ok(Prepared {
        config,
        ifindexes: plan.ifindexes,
        installs: plan.installs,
        route_metric: None,
        checks,
        warnings: plan.warnings,
        locks,
    })
}

fn timing(options: &ForOptions) -> Timing {
    let dead_after = options.dead_after;
    let interval = options.interval.unwrap_or_else(|| Timing::default_interval(dead_after));
    Timing { dead_after, interval, back_after: options.back_after }
}

/// One lock per address, taken before anything is looked at: what another standin is just doing
/// must not be mistaken for the state of this host.
/// This process has those of `held` already.
fn locks_for(addresses: &[IpAddr], held: &[IpAddr]) -> Result<Vec<(IpAddr, InstanceLock)>> {
    let patience = Instant::now() + LOCK_PATIENCE;
    // Each lock is a descriptor; a pool is guarded well enough by its first addresses.
    let locked = addresses.iter().take(LOCKS_MAX).filter(|address| !held.contains(address));
    locked.map(|address| Ok((*address, lock_one(*address, patience)?))).collect()
}

/// A predecessor that was killed a moment ago may not have left yet, so a little is waited.
fn lock_one(address: IpAddr, patience: Instant) -> Result<InstanceLock> {
    loop {
        match InstanceLock::acquire(&format!("standin-vip-{address}")) {
            Ok(lock) => return Ok(lock),
            Err(LockError::Failed(error)) => return Err(os(&error)),
            Err(LockError::Taken { holder, .. }) if Instant::now() >= patience => {
                return Err(taken(address, holder));
            }
            Err(LockError::Taken { .. }) => thread::sleep(LOCK_PAUSE),
        }
    }
}

fn taken(address: IpAddr, holder: Option<u32>) -> Failure {
    let process = holder.map(|id| format!(" (process {id})")).unwrap_or_default();
    Failure::new(
        Code::TemporaryFailure,
        format!("another standin on this host{process} already stands in for {address}"),
    )
    .advice("stop it first, or leave the address to it")
}

/// Judges the addresses against the host and finds their interfaces.
fn plan(
    options: &ForOptions,
    host: &[Resolved],
    kernel: &mut dyn Kernel,
    nodename: &str,
) -> Result<Plan> {
    let mut ground = Ground::survey(kernel)?;
    let interface = options.interface.as_deref();
    if let Some(name) = interface {
        ground.interface_named(name)?;
    }
    let host_ips: Vec<IpAddr> = host.iter().map(|resolved| resolved.ip).collect();
    let mut plan = Plan::default();
    for (flag, home, addresses) in
        [("--vip", Home::Peer(PeerId(0)), &options.vips), ("--own", Home::Here, &options.own)]
    {
        for address in addresses {
            ground.judge_claim(flag, *address, &host_ips)?;
            let label = match home {
                Home::Peer(_) => options.label.as_deref().unwrap_or(&options.host),
                Home::Here | Home::Cluster => nodename,
            };
            let wish = Wish {
                address: *address,
                interface,
                prefix: options.prefix,
                label,
                home,
                failback: options.failback,
                on_answer: options.on_answer,
                on_check_failure: options.on_check_failure,
                route: false,
            };
            plan.add_vip(&mut ground, &wish)?;
        }
    }
    plan.add_peer(&options.host);
    for resolved in host {
        plan.add_peer_address(&mut ground, interface, *resolved, Called::Host)?;
    }
    plan.read_links(&mut ground)?;
    Ok(plan)
}

/// Each check once for each VIP it concerns.
fn place_checks(
    plan: &Plan,
    options: &ForOptions,
    probers: Vec<Prober>,
) -> (Vec<PreparedCheck>, Vec<Check>) {
    let mut placed = (Vec::new(), Vec::new());
    for prober in probers.into_iter().map(Arc::new) {
        let concerns = prober.check().probe.concerns();
        for (position, vip) in plan.vips.iter().enumerate() {
            if vip.home != Home::Here && concerns.includes(vip.address) {
                plan.place_check(
                    &mut placed,
                    &prober,
                    position,
                    (&options.host, Vantage::OnItself),
                );
            }
        }
    }
    placed
}

/// What the core has to know of an interface. `near` are the addresses we shall speak about on
/// it, `ours` those that move and so are nobody's real address. Also for a later refresh.
///
/// # Errors
/// The interface has gone or cannot carry an address any more.
pub fn link_state(
    ground: &mut Ground<'_>,
    ifindex: u32,
    near: &[IpAddr],
    ours: &[IpAddr],
) -> Result<(String, LinkState)> {
    let link = ground.interface(ifindex)?;
    let name = link.name.clone();
    let (up, mac) = (link.up && link.running, Mac(link.mac.unwrap_or_default()));
    let real = |ground: &Ground<'_>| -> Vec<(IpAddr, u8)> {
        ground
            .real_addresses(ifindex)
            .filter(|found| !ours.contains(&found.ip) && !found.is_tentative())
            .filter(|found| !found.is_duplicate())
            .map(|found| (found.ip, found.prefix))
            .collect()
    };
    let real = real(ground);
    // The address in the subnet of what we ask about comes first: some hosts answer no others.
    let ipv4 = real
        .iter()
        .filter_map(|(ip, prefix)| match ip {
            IpAddr::V4(v4) => {
                Some((*v4, near.iter().any(|near| shares_subnet(*near, *ip, *prefix))))
            }
            IpAddr::V6(_) => None,
        })
        .max_by_key(|(_, is_near)| *is_near)
        .map(|(v4, _)| v4);
    let ipv6 = real
        .iter()
        .filter_map(|(ip, _)| match ip {
            IpAddr::V6(v6) => Some(*v6),
            IpAddr::V4(_) => None,
        })
        .max_by_key(std::net::Ipv6Addr::is_unicast_link_local);
    let gateways = ground.gateways(ifindex)?;
    let router = ground.is_router(&name);
    Ok((name, LinkState { up, mac, ipv4, ipv6, gateways, router }))
}

fn shares_subnet(one: IpAddr, other: IpAddr, prefix: u8) -> bool {
    let (differing, width) = match (one, other) {
        (IpAddr::V4(one), IpAddr::V4(other)) => (u128::from(u32::from(one) ^ u32::from(other)), 32),
        (IpAddr::V6(one), IpAddr::V6(other)) => (u128::from(one) ^ u128::from(other), 128),
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => return false,
    };
    // What is left of the difference behind the prefix does not count.
    differing.checked_shr(width - u32::from(prefix).min(width)).is_none_or(|rest| rest == 0)
}

#[cfg(test)]
mod tests;

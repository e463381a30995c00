//! The interfaces the fast loop listens and speaks on, and the kernel's news of them.
//!
//! Owns one [`Port`] for each link of the configuration: its sockets, its number and what the core
//! was last told of it. An interface that was deleted and made again under its name is opened
//! again. Never decides what a change means.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use standin_core::config::{LinkId, LinkState, VipId};
use standin_core::vip::ASK_PROBES;
use standin_core::{Input, Instant, step};
use standin_sys::netlink::Event;
use standin_sys::packet::PacketSocket;

use super::{BUDGET, FastLoop, PORTS};
use crate::failure::Result;
use crate::host::{ADDRESS_PROTO, Ground, link_state, os};

/// The sockets of an interface that exists.
pub(super) struct Sockets {
    pub(super) arp: PacketSocket,
    pub(super) ndp: PacketSocket,
}

/// A link of the configuration.
pub(super) struct Port {
    pub(super) name: String,
    pub(super) ifindex: u32,
    pub(super) sockets: Option<Sockets>,
    state: LinkState,
}

impl Port {
    /// `asked`: so many addresses may be asked for at one moment.
    pub(super) fn open(
        name: &str,
        ifindex: u32,
        state: LinkState,
        asked: usize,
    ) -> standin_sys::Result<Self> {
        let sockets = Some(Sockets::open(ifindex, asked)?);
        Ok(Self { name: name.to_owned(), ifindex, sockets, state })
    }
}

impl Sockets {
    fn open(ifindex: u32, asked: usize) -> standin_sys::Result<Self> {
        let this = Self { arp: PacketSocket::arp(ifindex)?, ndp: PacketSocket::ndp(ifindex)? };
        let answers = u32::try_from(asked).unwrap_or(u32::MAX).saturating_mul(ASK_PROBES);
        this.arp.make_room(answers);
        this.ndp.make_room(answers);
        Ok(this)
    }

    /// Whether frames were lost since this was last asked.
    fn take_lost(&self) -> bool {
        // Both begin to count anew.
        [&self.arp, &self.ndp].map(|socket| socket.take_lost().is_ok_and(|lost| lost > 0))
            != [false; 2]
    }
}

/// An interface that could not be opened or looked at is tried again after this time.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

impl FastLoop<'_> {
    /// Whether it is time to try again what failed with an interface.
    pub(super) fn is_to_look_again(&mut self, at: Instant) -> bool {
        self.look_again_at.take_if(|due| *due <= at).is_some()
    }

    /// Reads the frames of a port.
    pub(super) fn read_port(&mut self, at: Instant, token: u64) {
        let position = ((token - PORTS) / 2) as usize;
        let link = LinkId(position as u32);
        let mut failed = None;
        let Some(sockets) = self.ports.get(position).and_then(|port| port.sockets.as_ref()) else {
            return;
        };
        let socket = if (token - PORTS).is_multiple_of(2) { &sockets.arp } else { &sockets.ndp };
        for _ in 0..BUDGET {
            match socket.receive(&mut self.buffer) {
                Ok(Some(received)) => {
                    let bytes = &self.buffer[..received.length];
                    step(&mut self.node, at, Input::Frame { link, bytes });
                }
                Ok(None) => break,
                Err(error) => {
                    failed = Some(error);
                    break;
                }
            }
        }
        // A link that goes down says so here once; the kernel's news of it follows.
        if let Some(error) = failed.filter(|error| !is_link_down(error)) {
            self.complain(at, &error);
        }
    }

    /// Tells of frames that were lost while somebody is asked for: an answer may have been among them. What
    /// was lost before the first look since is no answer: no question is over by then.
    pub(super) fn tell_lost_frames(&mut self, at: Instant) {
        let asking = self.node.is_asking();
        let counts = std::mem::replace(&mut self.counts_lost, asking);
        if !asking {
            return;
        }
        for (link, port) in (0..).map(LinkId).zip(&self.ports) {
            if port.sockets.as_ref().is_some_and(Sockets::take_lost) && counts {
                step(&mut self.node, at, Input::FramesLost { link });
            }
        }
    }

    /// Reads the kernel's news.
    pub(super) fn read_monitor(&mut self, at: Instant) -> Result<()> {
        for _ in 0..BUDGET {
            let Some(doors) = &mut self.doors else { break };
            let Some(event) = doors.monitor.poll().map_err(|error| os(&error))? else {
                break;
            };
            match event {
                Event::LinkChanged(link) => {
                    if !(link.up && link.running) {
                        self.lose_carrier(at, link.index);
                    }
                    self.stale = true;
                }
                Event::LinkGone(..) | Event::DefaultRouteChanged => self.stale = true,
                Event::LocalRouteRemoved(route) => self.lose_route(at, route),
                Event::AddressAdded(address) => {
                    self.stale |= address.proto != Some(ADDRESS_PROTO);
                }
                Event::AddressRemoved(address) => match self.vip_of(address.ifindex, address.ip) {
                    Some(vip) => step(&mut self.node, at, Input::AddressLost { vip }),
                    None => self.stale = true,
                },
                Event::Overrun => {
                    self.stale = true;
                    self.find_lost_addresses(at);
                    self.find_lost_routes(at);
                }
            }
        }
        Ok(())
    }

    fn vip_of(&self, ifindex: u32, ip: IpAddr) -> Option<VipId> {
        let vip = self.node.vip_of(ip)?;
        let install = &self.installs[vip.index()];
        (!install.route && install.ifindex == ifindex).then_some(vip)
    }

    /// News was lost: an address that is no longer there may have gone unnoticed.
    fn find_lost_addresses(&mut self, at: Instant) {
        let Some(doors) = &mut self.doors else { return };
        let Ok(ground) = Ground::survey(&mut doors.kernel) else { return };
        let present: BTreeSet<(u32, IpAddr)> =
            ground.addresses.iter().map(|address| (address.ifindex, address.ip)).collect();
        for (vip, install) in (0..).map(VipId).zip(&self.installs) {
            if !install.route && !present.contains(&(install.ifindex, install.address)) {
                step(&mut self.node, at, Input::AddressLost { vip });
            }
        }
    }

    /// Looks at every interface again and tells the core what has changed.
    pub(super) fn refresh_links(&mut self, at: Instant) {
        let config = self.node.config();
        let ours: Vec<IpAddr> = config.vips().iter().map(|vip| vip.address).collect();
        let peers = config.peers().iter().flat_map(|peer| peer.addresses.iter().map(|a| a.ip));
        let near: Vec<IpAddr> = peers.chain(ours.iter().copied()).collect();
        for position in 0..self.ports.len() {
            let Some(doors) = &mut self.doors else { return };
            let port = &self.ports[position];
            let found = Ground::survey(&mut doors.kernel).and_then(|mut ground| {
                let named = ground.interface_named(&port.name);
                // One that was renamed is the same as before.
                let link = named.or_else(|_| ground.interface(port.ifindex));
                let Ok(ifindex) = link.map(|link| link.index) else { return Ok(None) };
                let (_, state) = link_state(&mut ground, ifindex, &near, &ours)?;
                Ok(Some((ifindex, state)))
            });
            match found {
                Ok(found) => self.settle_port(at, position, found),
                // The kernel does not say: what it said last is as good as anything.
                Err(error) => {
                    self.complain(at, &error.what().trim_start_matches("cannot "));
                    self.look_again_at = Some(at + LOOK_AGAIN);
                }
            }
        }
    }

    fn settle_port(&mut self, at: Instant, position: usize, found: Option<(u32, LinkState)>) {
        let port = &mut self.ports[position];
        let state = match found {
            Some((ifindex, mut state)) => {
                if ifindex != port.ifindex || port.sockets.is_none() {
                    self.open_again(at, position, ifindex);
                }
                // One that we cannot listen on is of no use.
                state.up &= self.ports[position].sockets.is_some();
                state
            }
            // It has gone, or is set down.
            None => LinkState { up: false, ..port.state.clone() },
        };
        let port = &mut self.ports[position];
        if state != port.state {
            port.state = state.clone();
            let link = LinkId(position as u32);
            step(&mut self.node, at, Input::Link { link, state });
        }
    }

    /// An interface is down, or was: it may be up again by the time it is looked at, but behind it a
    /// switch may have forgotten everybody meanwhile.
    fn lose_carrier(&mut self, at: Instant, ifindex: u32) {
        let ports = (0..).map(LinkId).zip(&mut self.ports);
        for (link, port) in ports.filter(|(_, port)| port.ifindex == ifindex && port.state.up) {
            port.state.up = false;
            step(&mut self.node, at, Input::Link { link, state: port.state.clone() });
        }
    }

    /// The interface was deleted and made again: same name, another number.
    fn open_again(&mut self, at: Instant, position: usize, ifindex: u32) {
        let port = &mut self.ports[position];
        for install in self.installs.iter_mut().filter(|i| i.ifindex == port.ifindex) {
            install.ifindex = ifindex;
        }
        port.ifindex = ifindex;
        // The old sockets leave the poller as they are closed.
        let opened =
            Sockets::open(ifindex, self.installs.len()).map(|sockets| port.sockets = Some(sockets));
        let opened = opened.and_then(|()| self.watch_port(position));
        if let Err(error) = opened {
            self.ports[position].sockets = None;
            self.complain(at, &error);
            // No files left, for instance: nothing else would say when there are some again.
            self.look_again_at = Some(at + LOOK_AGAIN);
        }
    }
}

/// The kernel's `ENXIO` and `ENODEV`: the interface has gone.
const GONE: [i32; 2] = [6, 19];

/// Whether a socket failed because its interface is down or gone.
pub(super) fn is_link_down(error: &standin_sys::error::Error) -> bool {
    error.kind() == std::io::ErrorKind::NetworkDown
        || error.errno().is_some_and(|errno| GONE.contains(&errno))
}

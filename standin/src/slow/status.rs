//! The core's status as JSON.

use std::sync::PoisonError;

use serde_json::{Value, json};
use standin_core::io::CheckTarget;
use standin_core::status::{Check, Peer, Vip};
use standin_core::vip::Place;

use crate::fast::Published;

/// The latest status.
pub(super) fn read(published: &Published) -> Value {
    let place = published.lock().unwrap_or_else(PoisonError::into_inner);
    let Some((_, status)) = place.as_ref() else {
        return json!({ "version": env!("CARGO_PKG_VERSION"), "starting": true });
    };
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "pid": std::process::id(),
        "vips": status.vips.iter().map(of_vip).collect::<Vec<_>>(),
        "hosts": status.peers.iter().map(of_peer).collect::<Vec<_>>(),
        "checks": status.checks.iter().map(of_check).collect::<Vec<_>>(),
        "malformed": status.malformed.iter().copied().collect::<std::collections::BTreeMap<_, _>>(),
    })
}

fn of_vip(vip: &Vip) -> Value {
    let (place, answered_by) = match vip.place {
        Place::Away => ("away", None),
        Place::Asking => ("asking", None),
        Place::Waiting(mac) => ("waiting", Some(mac.to_string())),
        Place::Adding => ("adding", None),
        Place::Held => ("held", None),
        Place::Removing => ("removing", None),
    };
    let home = vip.home.as_deref().unwrap_or("this host");
    json!({
        "address": vip.address,
        "interface": &*vip.link,
        "home": home,
        "state": place,
        "since_ms": millis(vip.since),
        "reason": vip.reason.sentence(home).to_string(),
        "answered_by": answered_by,
        "contested": vip.contested,
    })
}

fn of_peer(peer: &Peer) -> Value {
    json!({
        "name": &*peer.name,
        "addresses": peer.addresses,
        "state": peer.life.name(),
        "heard_ms_ago": peer.heard_ago.map(millis),
        "round_trip_us": peer.round_trip.map(|trip| trip.as_micros() as u64),
        "mac": peer.macs.first().map(ToString::to_string),
        "rounds_of_probes": peer.rounds_sent,
        "signs_of_life": peer.answers,
    })
}

fn of_check(check: &Check) -> Value {
    let target = match check.target {
        CheckTarget::Vip => check.vip,
        CheckTarget::Home(address) => address,
    };
    json!({
        "check": &*check.name,
        "vip": check.vip,
        "at": target,
        "state": check.state.name(),
        "since_ms": check.since.map(millis),
        "last_failure": check.last_failure,
    })
}

fn millis(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

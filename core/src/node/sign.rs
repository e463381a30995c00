//! The sign of life of all addresses that share a lifetime: the kernel answers for them while it is
//! there.
//!
//! Owns when it is renewed and since when the kernel has it. Never decides where an address should be.
//! Invariant: it is renewed while one of these addresses is held; where it may have run out, all of them
//! are given up for gone before it is renewed again, since others may have them by now.

use alloc::string::String;
use core::time::Duration;

use super::Node;
use crate::config::{ADDRESS_LIFETIME, RENEW_INTERVAL, VipId};
use crate::io::Action;
use crate::report::Report;
use crate::time::Instant;
use crate::timers::Timer;
use crate::vip::Vip;

/// What is known of it while it is needed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sign {
    /// When the last that was acknowledged was asked for: the kernel counts from then.
    signed_at: Instant,
    /// The first request that was not acknowledged yet.
    asked_at: Option<Instant>,
    renew_at: Instant,
    refused: bool,
}

impl Node {
    /// A VIP has come or gone. The first that needs the sign has had it given with its own request.
    pub(super) fn begin_sign(&mut self, id: VipId) {
        if self.sign.is_some() {
            return;
        }
        let Some(signed_at) = self.vips[id.index()].signed_since() else { return };
        let renew_at = self.now + RENEW_INTERVAL;
        self.sign = Some(Sign { signed_at, asked_at: None, renew_at, refused: false });
        self.timers.set(Timer::Sign, Some(renew_at));
    }

    /// Renews it if that is due so soon.
    pub(super) fn hasten_sign(&mut self, within: Duration) {
        if self.sign.is_some_and(|sign| sign.renew_at <= self.now + within) {
            self.handle_sign_timeout();
        }
    }

    /// Renews it, unless it may have run out.
    pub(super) fn handle_sign_timeout(&mut self) {
        let Some(mut sign) = self.sign else { return };
        let now = self.now;
        let late = now.since(sign.signed_at);
        if late >= ADDRESS_LIFETIME {
            for id in self.vip_ids() {
                if self.vips[id.index()].signed_since().is_some() {
                    self.with_vip(id, |vip, around| vip.handle_sign_lost(around, late));
                }
            }
            // Those that stay, where the link is down, ask for themselves from here on.
            sign = Sign { signed_at: now, asked_at: None, ..sign };
        }
        if !self.vips.iter().any(Vip::needs_sign) {
            self.sign = None;
            self.timers.set(Timer::Sign, None);
            return;
        }
        sign.asked_at.get_or_insert(now);
        sign.renew_at = now + RENEW_INTERVAL;
        self.sign = Some(sign);
        self.timers.set(Timer::Sign, Some(sign.renew_at));
        self.actions.push_back(Action::SignLife { lifetime: ADDRESS_LIFETIME });
        for id in self.vip_ids() {
            let vip = &self.vips[id.index()];
            if vip.is_crowd() {
                // None of a crowd is asked for, and all are of it.
                break;
            }
            if vip.needs_sign() {
                // As with any other renewal.
                self.with_vip(id, Vip::ask_for_others);
            }
        }
    }

    /// The kernel's answer to [`Action::SignLife`].
    pub(super) fn handle_life_signed(&mut self, result: Result<(), String>) {
        let Some(sign) = &mut self.sign else { return };
        let asked_at = sign.asked_at.take();
        match result {
            Ok(()) => {
                sign.signed_at = asked_at.unwrap_or(sign.signed_at);
                sign.refused = false;
            }
            Err(why) => {
                if !core::mem::replace(&mut sign.refused, true) {
                    let held = self.vips.iter().filter(|vip| vip.needs_sign()).count();
                    self.actions.push_back(Action::Report(Report::SignRefused { held, why }));
                }
            }
        }
    }
}

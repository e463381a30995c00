//! Who should hold a VIP, and why: a pure function from what is believed to a decision.
//!
//! Owns the rules of standing in; keeps no state and takes no action. Invariant: a decision to
//! hold an address away from home names a reason that is true of the view it was made from.
//!
//! ```text
//!                      home dead                     check fails, home alive
//!   at home ───────────────────────────▶ standing in ◀──────────────── at home
//!      ▲                                     │
//!      └── home steady (failback), or ◀──────┘
//!          home claims it itself
//! ```

use core::fmt;
use core::time::Duration;

use crate::config::{Failback, OnCheckFailure};
use crate::peer::Life;
use crate::time::{Instant, Spoken};

/// What is believed of the home of a VIP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HomeView {
    /// Whether the host lives.
    pub life: Life,
    /// Since when it has answered without any suspicion; `None` while suspected or dead.
    pub steady_since: Option<Instant>,
    /// When it last gave a sign of life.
    pub heard_at: Option<Instant>,
    /// What the checks of this VIP say.
    pub service: Service,
}

/// What the checks of a VIP say together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    /// There are none, or they have not said yet.
    Unknown,
    /// All pass, since then.
    Passing(Instant),
    /// At least one fails, since then.
    Failing(Instant),
}

/// Why an address is held away from its home.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Nothing of its home answered.
    HomeDead,
    /// Its home lives, its service does not.
    ServiceDown,
    /// An earlier run of this process held it.
    Adopted,
}

/// The settings of a VIP that matter here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// When the address goes home.
    pub failback: Failback,
    /// What a failing check means.
    pub on_check_failure: OnCheckFailure,
    /// What 'steady' means for the hand-back.
    pub back_after: Duration,
}

/// Who should hold the VIP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Whether this host should.
    pub here: Option<Cause>,
    /// Why.
    pub reason: Reason,
    /// When to decide again, though nothing changes.
    pub again_at: Option<Instant>,
}

/// Why a decision is as it is; reads as a sentence about the home.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// It is this host's own address.
    Own,
    /// The home has not been heard yet, nor been silent for long enough.
    NotYetKnown,
    /// The home answers, and nothing says that its service fails.
    HomeAlive,
    /// Nothing of the home has answered for so long.
    HomeDead(Duration),
    /// The service fails though the host answers.
    ServiceDown,
    /// The service fails, and the setting is to say so only.
    ServiceDownWarnOnly,
    /// The home answers again and is given time to prove steady.
    Returning(Duration),
    /// The home is back, steady for so long.
    Returned(Duration),
    /// The home is back, and the setting is never to give the address back unasked.
    NoFailback,
    /// The home claims the address itself.
    HomeClaims,
    /// Another host stands in for the same home, and goes first.
    AnotherStandsIn,
    /// The lease of the group ended and no majority grants it anew.
    LeaseEnded,
    /// This process was told to stop.
    Stopping,
    /// The cluster placed the group here.
    PlacedHere,
    /// The cluster placed the group elsewhere.
    PlacedElsewhere,
}

impl Reason {
    /// A word for machines.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Own => "own",
            Self::NotYetKnown => "not-yet-known",
            Self::HomeAlive => "home-alive",
            Self::HomeDead(_) => "home-dead",
            Self::ServiceDown => "service-down",
            Self::ServiceDownWarnOnly => "service-down-warn-only",
            Self::Returning(_) => "home-returning",
            Self::Returned(_) => "home-returned",
            Self::NoFailback => "no-failback",
            Self::HomeClaims => "home-claims",
            Self::AnotherStandsIn => "another-stands-in",
            Self::LeaseEnded => "lease-ended",
            Self::Stopping => "stopping",
            Self::PlacedHere => "placed-here",
            Self::PlacedElsewhere => "placed-elsewhere",
        }
    }

    /// The reason as a sentence, with the home's name in it.
    pub fn sentence(self, home: &str) -> Sentence<'_> {
        Sentence { reason: self, home }
    }
}

/// A [`Reason`] with a name in it, for display.
#[derive(Clone, Copy, Debug)]
pub struct Sentence<'a> {
    reason: Reason,
    home: &'a str,
}

impl fmt::Display for Sentence<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let home = self.home;
        match self.reason {
            Reason::Own => write!(f, "it is this host's own address"),
            Reason::NotYetKnown => write!(f, "{home} has not been heard yet"),
            Reason::HomeAlive => write!(f, "{home} is alive"),
            Reason::HomeDead(silent) => {
                write!(f, "{home} is dead: nothing has answered for {}", Spoken(silent))
            }
            Reason::ServiceDown => {
                write!(f, "the service check fails though {home} is alive")
            }
            Reason::ServiceDownWarnOnly => {
                write!(f, "the service check fails, and on-check-failure is warn")
            }
            Reason::Returning(left) => {
                write!(f, "{home} is back; waiting {} more for it to be steady", Spoken(left))
            }
            Reason::Returned(steady) => {
                write!(f, "{home} is back, steady for {}", Spoken(steady))
            }
            Reason::NoFailback => write!(f, "{home} is back, and failback is no"),
            Reason::HomeClaims => write!(f, "{home} claims it itself"),
            Reason::AnotherStandsIn => {
                write!(f, "another host stands in for {home} too, and goes first")
            }
            Reason::LeaseEnded => f.write_str("its lease ended and no majority grants it anew"),
            Reason::Stopping => write!(f, "standin was told to stop"),
            Reason::PlacedHere => write!(f, "the cluster placed it here"),
            Reason::PlacedElsewhere => write!(f, "the cluster placed it elsewhere"),
        }
    }
}

/// Decides for a VIP whose home is another host.
///
/// `standing_in` is why this host has it now, `None` when it has not.
pub fn decide(now: Instant, home: HomeView, standing_in: Option<Cause>, rules: Rules) -> Decision {
    let at_home = |reason| Decision { here: None, reason, again_at: None };
    let here = |cause, reason| Decision { here: Some(cause), reason, again_at: None };
    match (home.life, standing_in) {
        // A takeover for a failing check becomes one for a dead host, and ends like one.
        (Life::Dead { silent_since }, _) => {
            here(Cause::HomeDead, Reason::HomeDead(now.since(silent_since)))
        }
        (Life::Unknown, None) => at_home(Reason::NotYetKnown),
        (Life::Unknown, Some(cause)) => here(cause, Reason::NotYetKnown),
        (Life::Alive, None) => decide_takeover(now, home, rules),
        (Life::Alive, Some(cause)) => decide_hand_back(now, home, cause, rules),
    }
}

/// The home lives and has its address: does its service live too?
fn decide_takeover(now: Instant, home: HomeView, rules: Rules) -> Decision {
    let at_home = |reason| Decision { here: None, reason, again_at: None };
    let Service::Failing(since) = home.service else {
        return at_home(Reason::HomeAlive);
    };
    // A dying host fails its checks too. Only one that has answered since the check failed, and is
    // not suspected, is a living host with a dead service.
    let lives = home.steady_since.is_some() && home.heard_at.is_some_and(|heard| heard > since);
    if !lives {
        return at_home(Reason::HomeAlive);
    }
    debug_assert!(now >= since, "a check cannot have failed in the future");
    match rules.on_check_failure {
        OnCheckFailure::Takeover => {
            Decision { here: Some(Cause::ServiceDown), reason: Reason::ServiceDown, again_at: None }
        }
        OnCheckFailure::Warn => at_home(Reason::ServiceDownWarnOnly),
    }
}

/// The home lives and its address is here: may it go back?
fn decide_hand_back(now: Instant, home: HomeView, cause: Cause, rules: Rules) -> Decision {
    let stay = |reason, again_at| Decision { here: Some(cause), reason, again_at };
    let wait = match rules.failback {
        Failback::Yes => rules.back_after,
        Failback::After(length) => length.max(rules.back_after),
        Failback::No => return stay(Reason::NoFailback, None),
    };
    let well_since = match (cause, home.service) {
        (Cause::HomeDead | Cause::Adopted, _) => home.steady_since,
        (Cause::ServiceDown, Service::Passing(since)) => {
            home.steady_since.map(|steady| steady.max(since))
        }
        (Cause::ServiceDown, Service::Unknown | Service::Failing(_)) => {
            return stay(Reason::ServiceDown, None);
        }
    };
    let Some(since) = well_since else {
        return stay(Reason::Returning(wait), None);
    };
    if now < since + wait {
        return stay(Reason::Returning((since + wait).since(now)), Some(since + wait));
    }
    Decision { here: None, reason: Reason::Returned(now.since(since)), again_at: None }
}

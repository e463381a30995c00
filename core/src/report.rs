//! What people are told: one value per event, which the shell turns into a log line, a counter and
//! a row of the status.
//!
//! Owns the words. Never writes anything. Invariant: a report names the address and the host it is
//! about, and says why.

use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::net::IpAddr;
use core::time::Duration;

use crate::cluster::report::ClusterReport;
use crate::decide::Reason;
use crate::time::{Instant, Spoken};
use crate::wire::mac::Mac;

/// How much a report matters, by what should follow from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Of interest while looking for a cause.
    Debug,
    /// A transition.
    Info,
    /// Somebody should look.
    Warn,
    /// A promise is broken or at risk.
    Error,
}

impl Level {
    /// In lower case.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
        }
    }
}

/// The value of a field of a report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// A text.
    Text(String),
    /// A number.
    Number(u64),
}

/// Something that people are told.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are the words of the sentences in Display below")]
pub enum Report {
    /// A watched host answers for the first time, or again.
    PeerAlive { peer: Arc<str>, dead_for: Option<Duration> },
    /// A probe went unanswered: the burst of suspicion starts.
    PeerSuspected { peer: Arc<str>, silent: Duration },
    /// The suspicion was wrong.
    PeerCleared { peer: Arc<str>, silent: Duration },
    /// Nothing of a watched host has answered for `dead_after`.
    PeerDead { peer: Arc<str>, silent: Duration, probes: u32 },
    /// Probes cannot be sent, so nothing can be said of the host.
    CannotProbe { peer: Arc<str>, why: String },
    /// The round trip leaves no room for a burst within `dead_after`.
    SlowPath { peer: Arc<str>, round_trip: Duration, dead_after: Duration },
    /// This process did not run for a while; suspicion starts anew.
    Stalled { late: Duration },
    /// An interface lost its carrier or was set down: no verdict about anybody meanwhile.
    LinkDown { link: Arc<str> },
    /// It is back.
    LinkUp { link: Arc<str> },
    /// A check passes.
    CheckPassing { check: Arc<str>, vip: IpAddr },
    /// A check fails.
    CheckFailing { check: Arc<str>, vip: IpAddr, why: String },
    /// A check has failed from the start: it may be the check that is wrong.
    CheckNeverPassed { check: Arc<str>, vip: IpAddr, why: String, runs_left: u32 },
    /// Somebody answers for a VIP that we would claim.
    StillAnswered { vip: IpAddr, by: Mac, home: Arc<str>, by_home: bool, own: bool },
    /// Nobody answers any more.
    AnswersStopped { vip: IpAddr, by: Mac },
    /// A VIP is here: the kernel has it and the first announcement has been sent.
    Claimed { vip: IpAddr, home: Arc<str>, reason: Reason, decided: Instant, confirmed: Instant },
    /// A VIP is here while its home, alive, still has it too.
    Duplicate { vip: IpAddr, home: Arc<str>, other: Option<Mac> },
    /// A VIP has gone from here: the kernel has removed it.
    Released { vip: IpAddr, home: Arc<str>, reason: Reason },
    /// After a release its home is seen to answer, and the neighbours were told on its behalf.
    HandedBack { vip: IpAddr, home: Arc<str>, mac: Mac },
    /// After a release nobody answers for the address.
    NobodyAnswers { vip: IpAddr, home: Arc<str> },
    /// The kernel refused to add an address.
    AddFailed { vip: IpAddr, why: String },
    /// The kernel refused the sign of life of so many addresses.
    SignRefused { held: usize, why: String },
    /// The kernel refused to remove one.
    RemoveFailed { vip: IpAddr, why: String },
    /// This process did not renew a VIP in time, so the kernel removed it.
    Lapsed { vip: IpAddr, late: Duration },
    /// Somebody removed a VIP of ours; it is put back.
    Stripped { vip: IpAddr },
    /// Something about the cluster.
    Cluster(ClusterReport),
    /// Another host claims a VIP that is here.
    Conflict { vip: IpAddr, ours: Mac, theirs: Mac, defended: bool },
}

impl Report {
    /// A word for machines, kebab-case.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::PeerAlive { .. } => "peer-alive",
            Self::PeerSuspected { .. } => "peer-suspected",
            Self::PeerCleared { .. } => "peer-cleared",
            Self::PeerDead { .. } => "peer-dead",
            Self::CannotProbe { .. } => "cannot-probe",
            Self::SlowPath { .. } => "slow-path",
            Self::Stalled { .. } => "stalled",
            Self::LinkDown { .. } => "link-down",
            Self::LinkUp { .. } => "link-up",
            Self::CheckPassing { .. } => "check-passing",
            Self::CheckFailing { .. } => "check-failing",
            Self::CheckNeverPassed { .. } => "check-never-passed",
            Self::StillAnswered { .. } => "still-answered",
            Self::AnswersStopped { .. } => "answers-stopped",
            Self::Claimed { .. } => "claimed",
            Self::Duplicate { .. } => "duplicate",
            Self::Released { .. } => "released",
            Self::HandedBack { .. } => "handed-back",
            Self::NobodyAnswers { .. } => "nobody-answers",
            Self::AddFailed { .. } => "add-failed",
            Self::SignRefused { .. } => "sign-refused",
            Self::RemoveFailed { .. } => "remove-failed",
            Self::Lapsed { .. } => "lapsed",
            Self::Stripped { .. } => "stripped",
            Self::Conflict { .. } => "conflict",
            Self::Cluster(report) => report.name(),
        }
    }

    /// What should follow from it.
    pub const fn level(&self) -> Level {
        match self {
            Self::PeerSuspected { .. } | Self::PeerCleared { .. } => Level::Debug,
            Self::PeerAlive { .. }
            | Self::LinkUp { .. }
            | Self::CheckPassing { .. }
            | Self::AnswersStopped { .. }
            | Self::Claimed { .. }
            | Self::Released { .. }
            | Self::HandedBack { .. } => Level::Info,
            Self::PeerDead { .. }
            | Self::CannotProbe { .. }
            | Self::SlowPath { .. }
            | Self::Stalled { .. }
            | Self::LinkDown { .. }
            | Self::CheckFailing { .. }
            | Self::CheckNeverPassed { .. }
            | Self::StillAnswered { .. }
            | Self::Duplicate { .. }
            | Self::NobodyAnswers { .. }
            | Self::Lapsed { .. }
            | Self::Stripped { .. }
            | Self::Conflict { .. } => Level::Warn,
            Self::AddFailed { .. } | Self::SignRefused { .. } | Self::RemoveFailed { .. } => {
                Level::Error
            }
            Self::Cluster(report) => report.level(),
        }
    }

    /// The parts for machines: names in kebab-case, durations in microseconds.
    pub fn fields(&self) -> Vec<(&'static str, Value)> {
        let mut fields = Fields(Vec::new());
        match self {
            Self::Cluster(report) => return report.fields(),
            Self::PeerAlive { peer, dead_for } => {
                fields.text("peer", peer);
                if let Some(length) = dead_for {
                    fields.micros("dead-for-us", *length);
                }
            }
            Self::PeerSuspected { peer, silent } | Self::PeerCleared { peer, silent } => {
                fields.text("peer", peer);
                fields.micros("silent-us", *silent);
            }
            Self::PeerDead { peer, silent, probes } => {
                fields.text("peer", peer);
                fields.micros("silent-us", *silent);
                fields.number("unanswered-probes", u64::from(*probes));
            }
            Self::CannotProbe { peer, why } => {
                fields.text("peer", peer);
                fields.text("why", why);
            }
            Self::SlowPath { peer, round_trip, dead_after } => {
                fields.text("peer", peer);
                fields.micros("round-trip-us", *round_trip);
                fields.micros("dead-after-us", *dead_after);
            }
            Self::Stalled { late } => fields.micros("late-us", *late),
            Self::LinkDown { link } | Self::LinkUp { link } => fields.text("interface", link),
            Self::CheckPassing { check, vip } => {
                fields.text("check", check);
                fields.text("vip", vip);
            }
            Self::CheckFailing { check, vip, why } => {
                fields.text("check", check);
                fields.text("vip", vip);
                fields.text("why", why);
            }
            Self::CheckNeverPassed { check, vip, why, runs_left } => {
                fields.text("check", check);
                fields.text("vip", vip);
                fields.text("why", why);
                fields.number("runs-left", u64::from(*runs_left));
            }
            _ => self.vip_fields(&mut fields),
        }
        fields.0
    }

    fn vip_fields(&self, fields: &mut Fields) {
        let Some(vip) = self.vip() else { return };
        fields.text("vip", &vip);
        match self {
            Self::StillAnswered { by, home, .. } => {
                fields.text("by", by);
                fields.text("home", home);
            }
            Self::AnswersStopped { by, .. } => fields.text("by", by),
            Self::Claimed { home, reason, decided, confirmed, .. } => {
                fields.text("home", home);
                fields.text("reason", &reason.name());
                fields.micros("decided-to-confirmed-us", confirmed.since(*decided));
            }
            Self::Duplicate { home, other, .. } => {
                fields.text("home", home);
                if let Some(mac) = other {
                    fields.text("theirs", mac);
                }
            }
            Self::Released { home, reason, .. } => {
                fields.text("home", home);
                fields.text("reason", &reason.name());
            }
            Self::HandedBack { home, mac, .. } => {
                fields.text("home", home);
                fields.text("theirs", mac);
            }
            Self::NobodyAnswers { home, .. } => fields.text("home", home),
            Self::Lapsed { late, .. } => fields.micros("late-us", *late),
            Self::AddFailed { why, .. } | Self::RemoveFailed { why, .. } => {
                fields.text("why", why);
            }
            Self::SignRefused { held, why } => {
                fields.text("held", held);
                fields.text("why", why);
            }
            Self::Conflict { ours, theirs, defended, .. } => {
                fields.text("ours", ours);
                fields.text("theirs", theirs);
                fields.text("defended", defended);
            }
            _ => {}
        }
    }

    /// The VIP it is about, where it is about one.
    pub const fn vip(&self) -> Option<IpAddr> {
        match self {
            Self::CheckPassing { vip, .. }
            | Self::CheckFailing { vip, .. }
            | Self::CheckNeverPassed { vip, .. }
            | Self::StillAnswered { vip, .. }
            | Self::AnswersStopped { vip, .. }
            | Self::Claimed { vip, .. }
            | Self::Duplicate { vip, .. }
            | Self::Released { vip, .. }
            | Self::HandedBack { vip, .. }
            | Self::NobodyAnswers { vip, .. }
            | Self::AddFailed { vip, .. }
            | Self::RemoveFailed { vip, .. }
            | Self::Lapsed { vip, .. }
            | Self::Stripped { vip }
            | Self::Conflict { vip, .. } => Some(*vip),
            Self::PeerAlive { .. }
            | Self::PeerSuspected { .. }
            | Self::PeerCleared { .. }
            | Self::PeerDead { .. }
            | Self::CannotProbe { .. }
            | Self::SlowPath { .. }
            | Self::Stalled { .. }
            | Self::LinkDown { .. }
            | Self::LinkUp { .. }
            | Self::SignRefused { .. }
            | Self::Cluster(_) => None,
        }
    }
}

struct Fields(Vec<(&'static str, Value)>);

impl Fields {
    fn text(&mut self, name: &'static str, value: &dyn fmt::Display) {
        self.0.push((name, Value::Text(value.to_string())));
    }

    fn number(&mut self, name: &'static str, value: u64) {
        self.0.push((name, Value::Number(value)));
    }

    fn micros(&mut self, name: &'static str, value: Duration) {
        self.number(name, u64::try_from(value.as_micros()).unwrap_or(u64::MAX));
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cluster(report) => report.fmt(f),
            Self::PeerAlive { .. }
            | Self::PeerSuspected { .. }
            | Self::PeerCleared { .. }
            | Self::PeerDead { .. }
            | Self::CannotProbe { .. }
            | Self::SlowPath { .. }
            | Self::Stalled { .. }
            | Self::LinkDown { .. }
            | Self::LinkUp { .. } => self.speak_of_host(f),
            Self::CheckPassing { .. }
            | Self::CheckFailing { .. }
            | Self::CheckNeverPassed { .. } => self.speak_of_check(f),
            _ => self.speak_of_vip(f),
        }
    }
}

impl Report {
    fn speak_of_host(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PeerAlive { peer, dead_for: None } => write!(f, "{peer} answers"),
            Self::PeerAlive { peer, dead_for: Some(length) } => {
                write!(f, "{peer} answers again after {}", Spoken(*length))
            }
            Self::PeerSuspected { peer, silent } => {
                write!(f, "{peer} has been silent for {}: probing in a burst", Spoken(*silent))
            }
            Self::PeerCleared { peer, silent } => {
                write!(f, "{peer} answers after all, having been silent for {}", Spoken(*silent))
            }
            Self::PeerDead { peer, silent, probes } => write!(
                f,
                "{peer} is dead: nothing has answered for {} though {probes} probes asked",
                Spoken(*silent)
            ),
            Self::CannotProbe { peer, why } => write!(
                f,
                "{peer} cannot be probed ({why}): its silence means nothing, so nothing is taken over"
            ),
            Self::SlowPath { peer, round_trip, dead_after } => write!(
                f,
                "the round trip to {peer} is {}, too long for a dead-after of {}: raise it",
                Spoken(*round_trip),
                Spoken(*dead_after)
            ),
            Self::Stalled { late } => write!(
                f,
                "this process did not run for {}: every silence is measured anew",
                Spoken(*late)
            ),
            Self::LinkDown { link } => {
                write!(f, "{link} is down: nobody behind it is judged until it is back")
            }
            Self::LinkUp { link } => write!(f, "{link} is up"),
            _ => Ok(()),
        }
    }

    fn speak_of_check(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CheckPassing { check, vip } => write!(f, "check {check} of {vip} passes"),
            Self::CheckFailing { check, vip, why } => {
                write!(f, "check {check} of {vip} fails: {why}")
            }
            Self::CheckNeverPassed { check, vip, why, runs_left } => write!(
                f,
                "check {check} of {vip} has never passed ({why}): is the check right? It counts as \
                 failing after {runs_left} more runs"
            ),
            _ => Ok(()),
        }
    }

    fn speak_of_vip(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::StillAnswered { vip, by, own: true, .. } => {
                write!(f, "{by} answers for {vip}, our own address: asking it to let go")
            }
            Self::StillAnswered { vip, by, home, by_home: true, .. } => write!(
                f,
                "{home} is silent at its real address but {by}, which is {home}, still answers for \
                 {vip}: not a dead host, waiting until the answers stop (see --on-answer)"
            ),
            Self::StillAnswered { vip, by, home, .. } => write!(
                f,
                "{by} answers for {vip} though {home} is not heard: waiting until the answers stop \
                 (see on-answer)"
            ),
            Self::AnswersStopped { vip, by } => write!(f, "{by} no longer answers for {vip}"),
            Self::Claimed { vip, home, reason, .. } => {
                write!(f, "{vip} is here and announced: {}", reason.sentence(home))
            }
            Self::Duplicate { vip, home, other } => {
                write!(f, "{home}")?;
                if let Some(mac) = other {
                    write!(f, " ({mac})")?;
                }
                write!(f, " still holds {vip} too: two hosts have it until {home} lets go")
            }
            Self::Released { vip, home, reason } => {
                write!(f, "{vip} is no longer here: {}", reason.sentence(home))
            }
            Self::HandedBack { vip, home, mac } => {
                write!(f, "{home} ({mac}) answers for {vip}; the neighbours were told")
            }
            Self::NobodyAnswers { vip, home } => write!(
                f,
                "nobody answers for {vip}: {home} is alive but does not have it; configure it \
                 there, or run standin there with --own {vip}"
            ),
            Self::AddFailed { vip, why } => {
                write!(f, "the kernel refused {vip}: {why}; trying again")
            }
            Self::SignRefused { held, why } => write!(
                f,
                "the kernel refused the sign of life of {held} addresses that are held as routes, and \
                 soon answers for none of them: {why}; trying again"
            ),
            Self::RemoveFailed { vip, why } => {
                write!(f, "the kernel refused to remove {vip}: {why}; trying again")
            }
            Self::Lapsed { vip, late } => write!(
                f,
                "{vip} was not renewed for {}, so the kernel removed it: asking before it is \
                 claimed again",
                Spoken(*late)
            ),
            Self::Stripped { vip } => {
                write!(f, "somebody removed {vip} from this host: putting it back")
            }
            Self::Conflict { vip, ours, theirs, defended } => {
                write!(f, "{theirs} claims {vip}, which is here at {ours}: ")?;
                f.write_str(match defended {
                    true => "announced it once in defence",
                    false => "not answering again, so as not to start a war",
                })
            }
            _ => Ok(()),
        }
    }
}

//! `authority`, `lease`, `[witnesses]` and `fence`: what gives a node the right to hold a VIP.
//!
//! Owns what these say about each other and about the number of voters.

use std::time::Duration;

use standin_core::lease::LENGTH_MIN;

use super::model::{Authority, HookCommand, Timing};
use super::nodes::{MOST_VOTERS, NodeDraft};
use super::problem::{Problem, Problems, Span};
use super::reader::Table;
use super::settings;
use crate::duration;

/// The shortest lease: below it, what the kernel cuts off for its own safety (10 ms and a tick) and
/// one lost heartbeat leave nothing. The longest: a voter that starts is quiet for as long.
const LEASE: (Duration, Duration) = (LENGTH_MIN, Duration::from_hours(1));
/// Renewals ride on heartbeats: one has to come before the lease ends, two so that one may be lost.
const BEATS_LEAST: u32 = 2;
const BEATS_SAFE: u32 = 3;
/// So much longer than `dead-after` a lease may be before it is said what that costs.
const PATIENT: u32 = 10;

/// The words at the top.
struct Words {
    is_quorum: bool,
    authority: Option<Span>,
    lease: Option<(Duration, Span)>,
}

/// What the top says of the right to hold.
pub struct Right {
    pub authority: Authority,
    pub fence: Option<HookCommand>,
}

/// Reads `authority`, `lease` and `fence`, and judges them with the voters.
pub fn read(
    top: &Table<'_>,
    nodes: &[NodeDraft],
    witnesses: &[NodeDraft],
    timing: &Timing,
    problems: &mut Problems,
) -> Right {
    let words = Words {
        is_quorum: is_quorum(top, problems),
        authority: top.get("authority").map(super::reader::Placed::span),
        lease: top.duration("lease", problems),
    };
    let fence = top.get("fence").and_then(|value| settings::hook("fence", value, problems));
    if words.is_quorum {
        judge_voters(&words, nodes.len(), witnesses, problems);
    } else {
        let fence = fence.as_ref().and_then(|_| top.key_span("fence"));
        judge_without(&words, witnesses, fence, problems);
    }
    let lease = lease(&words, timing, problems);
    let authority = if words.is_quorum { Authority::Quorum { lease } } else { Authority::None };
    Right { authority, fence }
}

fn is_quorum(top: &Table<'_>, problems: &mut Problems) -> bool {
    let Some(text) = top.text("authority", problems) else { return false };
    let words = [("none", false), ("quorum", true)];
    super::reader::word(text, &words, problems).unwrap_or(false)
}

/// The length of a lease, which has to last from one heartbeat to the next at least.
fn lease(words: &Words, timing: &Timing, problems: &mut Problems) -> Duration {
    let Some((lease, span)) = &words.lease else { return timing.dead_after.max(LEASE.0) };
    let (lease, shown) = (*lease, duration::show(*lease));
    if !(LEASE.0..=LEASE.1).contains(&lease) {
        problems.push(
            Problem::error(span.clone(), "the lease is out of range")
                .label("expected from 50ms to 1h"),
        );
        return lease;
    }
    let interval = duration::show(timing.interval);
    let dead_after = duration::show(timing.dead_after);
    if timing.interval * BEATS_LEAST > lease {
        problems.push(
            Problem::error(
                span.clone(),
                format!("a lease of {shown} ends before heartbeats every {interval} renew it"),
            )
            .label(format!("expected at least {}", duration::show(timing.interval * BEATS_SAFE)))
            .help("a shorter dead-after in [timing], or leave lease out: it is dead-after then"),
        );
    } else if timing.interval * BEATS_SAFE > lease {
        problems.push(
            Problem::warning(
                span.clone(),
                format!(
                    "a lease of {shown} ends when one heartbeat is lost: they come every {interval}"
                ),
            )
            .label(format!("expected at least {}", duration::show(timing.interval * BEATS_SAFE))),
        );
    } else if lease > timing.dead_after * PATIENT {
        problems.push(
            Problem::warning(
                span.clone(),
                format!("a takeover waits out a lease of {shown}, though a node is dead after {dead_after}"),
            )
            .label("the VIPs are nowhere for so long when their holder fails"),
        );
    }
    lease
}

fn judge_voters(words: &Words, nodes: usize, witnesses: &[NodeDraft], problems: &mut Problems) {
    let voters = nodes + witnesses.len();
    let span = words.authority.clone().unwrap_or_default();
    if voters > MOST_VOTERS {
        let last = witnesses.last().map_or(span, |witness| witness.span.clone());
        problems.push(
            Problem::error(last, format!("{voters} nodes and witnesses"))
                .label(format!("expected at most {MOST_VOTERS}")),
        );
    } else if voters == 2 {
        problems.push(
            Problem::warning(span, "one voter too few: losing either one stops the VIPs")
                .label("two voters have a majority only together")
                .help("a third: a node, or a witness on any machine\n[witnesses]\nname = \"192.0.2.3\""),
        );
    } else if voters >= 2 && voters.is_multiple_of(2) {
        problems.push(
            Problem::warning(
                span,
                format!(
                    "an even number of voters, {voters}: they stand the loss of {}, as {} would",
                    voters / 2 - 1,
                    voters - 1
                ),
            )
            .help(if witnesses.is_empty() {
                "a witness on any machine makes it one more"
            } else {
                "one witness more, or one less"
            }),
        );
    }
}

/// What only means something under a quorum.
fn judge_without(
    words: &Words,
    witnesses: &[NodeDraft],
    fence: Option<Span>,
    problems: &mut Problems,
) {
    const HELP: &str = "authority = \"quorum\"";
    if let Some((_, span)) = &words.lease {
        // Whoever writes it counts on a promise that would not be kept.
        problems.push(
            Problem::error(span.clone(), "a lease needs authority = \"quorum\"")
                .label("nobody would grant it")
                .help(HELP),
        );
    }
    if let Some(witness) = witnesses.first() {
        problems.push(
            Problem::warning(witness.span.clone(), "a witness without a quorum has no vote")
                .label("nobody would ask it")
                .help(HELP),
        );
    }
    if let Some(span) = fence {
        problems.push(
            Problem::warning(span, "fence is never run without a quorum")
                .label("there is no lease that it could end")
                .help(HELP),
        );
    }
}

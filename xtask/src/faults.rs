//! Faults that are planted in what makes authority `quorum` safe.
//!
//! Owns the list; [`crate::sim`] plants them. Each takes away one link of the argument in
//! `core/src/lease/mod.rs`. Three links are not here, since seeds do not find them in a reasonable
//! time: a voter's clock that is read before it receives and a fencing command that failed (stories
//! in `sim/tests/quorum.rs` do), and the margin for the rate of clocks, which the kernel's own margin hides (`core/tests/lease`).

use crate::sim::{Change, Fault, change};

const fn fault(name: &'static str, changes: &'static [Change]) -> Fault {
    Fault { name, changes, only: Some("quorum") }
}

/// Of the lease.
pub const OF_LEASES: &[Fault] = &[
    fault(
        "a voter that restarts is not quiet",
        &[change(
            "lease/voter.rs",
            "let slot = Slot { promised: Ballot::default(), grant: None, quiet_until: now + length };",
            "let slot = Slot { promised: Ballot::default(), grant: None, quiet_until: now };",
        )],
    ),
    fault(
        "the holder counts from the answer",
        &[change(
            "lease/claim.rs",
            "let end = stamp + held_for(length);",
            "let end = now + held_for(length);",
        )],
    ),
    fault(
        "grant while another's grant lives",
        &[change(
            "lease/voter.rs",
            "slot.grant.filter(|grant| grant.to != request.from)",
            "slot.grant.filter(|grant| grant.to != request.from && ballot <= grant.ballot)",
        )],
    ),
    fault(
        "a release with any ballot",
        &[change(
            "lease/voter.rs",
            "|grant: &Grant| grant.ballot.run == ballot.run && grant.ballot <= ballot;",
            "|grant: &Grant| grant.ballot != Ballot::default();",
        )],
    ),
    fault(
        "the giver gives the lease back before the kernel's word",
        &[change(
            "node/cluster/lease.rs",
            "            tenure.ceding = Ceding::Shortening;\n",
            "            tenure.ceding = Ceding::Ceded;\n            \
             tenure.claim.give_up(self.now);\n",
        )],
    ),
    fault(
        "a majority of one too few",
        &[change("lease/electorate.rs", "self.size / 2 + 1", "self.size / 2")],
    ),
    fault(
        "the kernel is told a later end",
        &[change(
            "node/cluster/lease.rs",
            "            kernel.asked = Some(until);\n            let vips = kernel.vips.clone();\n",
            "            kernel.asked = Some(until);\n            let vips = kernel.vips.clone();\n            \
             let until = until + leases.quorum.length;\n",
        )],
    ),
    fault(
        "without a guard, an address to the end of the lease",
        &[change(
            "cluster/leases.rs",
            "OnDoubt::Release => until.map(|until| until - crate::lease::LIFETIME_RESERVE),",
            "OnDoubt::Release => until,",
        )],
    ),
];

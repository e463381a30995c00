//! Leases: what a voter says, what counts as a majority, what goes over the wire, and that there
//! are never two holders whatever clocks, packets and restarts do.

mod claim;
mod electorate;
mod message;
mod storm;
mod voter;

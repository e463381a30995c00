//! The watch over one host: every transition, the rounds of probes, and what must never lead to a
//! verdict.

mod rounds;
mod verdict;
mod watch;

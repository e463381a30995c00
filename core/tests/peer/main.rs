//! The watch over one host: every transition, the rounds of probes, and what must never lead to a
//! verdict.

mod rest;
mod rounds;
mod verdict;
mod watch;

//! The page and the metrics, from outside: what is served, to whom, and what it costs.

mod door;
mod metrics;
mod page;
mod serve;
mod world;

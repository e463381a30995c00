//! A seeded world around the real core: fake kernels, a switch, routers with neighbour caches,
//! clocks that differ, faults, and checkers that know the truth.
//!
//! Owns everything that a core meets, and what is promised about it. Never a second implementation
//! of the core: what nodes do is what [`standin_core`] does. Invariant: everything follows from the
//! seed, so a failure that was seen once can be seen again.
//!
//! ```text
//!  seed ─▶ scenario ─▶ world ─────────────────────────────▶ phase 1 ─▶ phase 2 ─▶ verdict
//!     └──▶ plan: what is done to it, and when ─────────────────┘   heal, settle,
//!                                              safety after every event     hold still
//! ```

pub mod clock;
pub mod file;
pub mod guard;
pub mod kernel;
pub mod plan;
pub mod random;
pub mod run;
pub mod scenario;
pub mod settle;
pub mod world;

pub use scenario::{HostId, Scenario};
pub use world::{Operation, Wire, World};

//! Netlink, written here: links, addresses, routes, neighbours and packet filters of one network
//! namespace.
//!
//! [`RouteSocket`] asks and waits for the answer; [`RouteQueue`] sends changes of addresses and
//! local routes in batches and never waits; [`Monitor`] tells what others change; [`nftables`] lets the kernel keep a
//! lease. A socket belongs for ever to the network namespace of the thread that opened it,
//! wherever it is used later.

pub mod address;
pub mod link;
pub mod local;
pub mod message;
pub mod monitor;
pub mod neighbour;
pub mod nftables;
pub mod queue;
pub mod route;
pub mod socket;

pub use address::{Address, AddressSpec};
pub use link::Link;
pub use local::LocalRoute;
pub use monitor::{Event, Monitor};
pub use neighbour::Neighbour;
pub use queue::{Acknowledgement, RouteQueue};
pub use route::{Route, RouteKind, RouteSpec};
pub use socket::RouteSocket;

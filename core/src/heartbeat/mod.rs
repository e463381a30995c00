//! What nodes of one cluster tell each other: authenticated, never believed twice, and without a
//! clock that anybody would have to share.
//!
//! ```text
//!             Outgoing             Draft, KeyRing
//!   Session ------------> Header -----------------> bytes  ~~~ the same bytes on every path ~~~>
//!      ^                                                                                       |
//!      |        Opened                   Gate                                                  v
//!      +----------------- authentic? <---------------------------------------------------- bytes
//!   fresh?              well formed?
//! ```
//!
//! - [`identity`]: names as short digests; [`key`]: the shared secret and its rotation.
//! - [`packet`]: the layout, and writing; [`section`]: what a packet carries besides its header.
//! - [`gate`]: reading, cheapest question first; what it refuses is counted by reason.
//! - [`session`]: per peer, which authentic packets are also fresh.
//!
//! Owns the bytes and what they prove. Never decides whether a peer is alive, never sends, and
//! takes every random number from its caller. Invariant: nothing of a packet is used before the
//! whole of it has been authenticated and parsed.

pub mod gate;
pub mod identity;
pub mod key;
pub mod packet;
pub mod section;
pub mod session;

pub use gate::{Gate, Opened, Rejected};
pub use identity::{ClusterId, ConfigDigest, NodeId, fingerprint};
pub use key::{Key, KeyError, KeyId, KeyRing, KeyRole};
pub use packet::{Draft, Echo, Flags, Full, Header, Incarnation, Nonce};
pub use section::{LinkStates, Payload, Role, Unreachable, VipState, VipStates};
pub use session::{Heard, Outgoing, PathId, Receipt, Session, Verdict};

/// The version of the protocol, bound into the keys as well: two versions never mistake each
/// other's packets.
pub const VERSION: u8 = 1;

//! Heartbeats: keys, bytes, what is refused and at what cost, and what is believed.

mod gate;
mod key;
mod packet;
mod rotation;
mod section;
mod session;
mod support;

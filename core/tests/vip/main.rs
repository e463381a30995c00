//! One VIP by itself: what it asks of the kernel and says to the network in each of its states.
//!
//! Each test drives a [`standin_core::vip::Vip`] as the node does: what is due, then what arrived,
//! then that everything was read.

mod giving;
mod heard;
mod kernel;
mod life;
mod support;

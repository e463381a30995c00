//! Who should hold what in a cluster, and why: through the public interface of `place`.

mod cluster;
mod order;
mod outside;
mod spread;
mod world;

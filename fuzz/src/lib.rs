//! What is done to standin with any bytes whatever, and must never go wrong.
//!
//! Owns the targets: plain functions over bytes, each of which panics when something is so that
//! must never be. Whoever has bytes may call them: libFuzzer (`fuzz/libfuzzer`, built by
//! `cargo xtask fuzz`), the replay of the corpus in the ordinary tests, or a person with one file
//! (`cargo run -p standin-fuzz -- run TARGET FILE`). Never touches the host. Invariant: a target
//! does the same for the same bytes.
//!
//! - [`packets`]: what comes from the network; [`kernel`]: from the kernel; [`texts`]: from people.
//! - [`session`]: which of many authentic heartbeats are believed; [`lease`]: who holds what.
//! - [`node`]: input sequences into the core's node; [`simulation`]: into a whole world of nodes.
//! - [`seeds`]: real packets, replies and texts to begin with; [`mutation`]: damage without a
//!   fuzzer.

pub mod bytes;
pub mod kernel;
pub mod lease;
pub mod mutation;
pub mod node;
pub mod packets;
pub mod sealing;
pub mod seeds;
pub mod session;
pub mod simulation;
pub mod texts;

/// One thing to do with any bytes.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name, also that of its directory in the corpus.
    pub name: &'static str,
    /// What it feeds, and what it asserts.
    pub about: &'static str,
    /// Panics when something is so that must never be.
    pub run: fn(&[u8]),
    /// Real inputs to begin with.
    pub seeds: fn() -> Vec<Vec<u8>>,
    /// Longer inputs find nothing that shorter ones do not.
    pub longest: usize,
}

/// Every target.
pub const TARGETS: &[Target] = &[
    Target {
        name: "heartbeat",
        about: "heartbeats through the gate, as they come and sealed with the right key; what is \
                accepted is what we would have written, and costs one HMAC",
        run: packets::heartbeat,
        seeds: seeds::heartbeats,
        longest: 1300,
    },
    Target {
        name: "session",
        about: "authentic heartbeats in any order, lost, doubled and late; none is believed twice, \
                no past run is believed again",
        run: session::run,
        seeds: seeds::sessions,
        longest: 512,
    },
    Target {
        name: "ethernet",
        about: "frames: the header, and what ARP and NDP in it say",
        run: packets::ethernet,
        seeds: seeds::frames,
        longest: 256,
    },
    Target {
        name: "arp",
        about: "ARP behind a right Ethernet header; what is read is what we would have written",
        run: packets::arp,
        seeds: seeds::arp,
        longest: 128,
    },
    Target {
        name: "ndp",
        about: "neighbour discovery behind right lengths and checksums; what is read survives \
                being written and read again",
        run: packets::ndp,
        seeds: seeds::ndp,
        longest: 256,
    },
    Target {
        name: "icmp",
        about: "ICMP and ICMPv6 echo replies, also behind a right checksum; what is read is what \
                was sent",
        run: packets::icmp,
        seeds: seeds::icmp,
        longest: 128,
    },
    Target {
        name: "netlink",
        about: "datagrams of the kernel: links, addresses, routes, neighbours, announcements, \
                acknowledgements; nothing is read twice, or from beyond the datagram",
        run: kernel::netlink,
        seeds: seeds::netlink,
        longest: 4096,
    },
    Target {
        name: "nftables",
        about: "answers to dumps of nf_tables",
        run: kernel::nftables,
        seeds: seeds::nftables,
        longest: 4096,
    },
    Target {
        name: "control",
        about: "requests at the control socket",
        run: texts::control,
        seeds: seeds::control,
        longest: 4200,
    },
    Target {
        name: "file",
        about: "configuration files: valid exactly when no error is told, each problem with a place \
                in the file",
        run: texts::file,
        seeds: seeds::files,
        longest: 4096,
    },
    Target {
        name: "keyfile",
        about: "key files; no error repeats what is in one",
        run: texts::key_file,
        seeds: seeds::key_files,
        longest: 1024,
    },
    Target {
        name: "check",
        about: "arguments of --check, URLs, command lines and durations; what is shown holds no \
                credentials",
        run: texts::check,
        seeds: seeds::checks,
        longest: 512,
    },
    Target {
        name: "keepalived",
        about: "files of keepalived to be imported, with what they include; what comes out is a \
                valid file, and no password is shown",
        run: texts::keepalived,
        seeds: seeds::keepalived,
        longest: 3072,
    },
    Target {
        name: "lease",
        about: "requests and answers of a lease, lost, doubled, late, between nodes whose clocks \
                differ by 1 % and which start again; never two hold it",
        run: lease::run,
        seeds: seeds::leases,
        longest: 1024,
    },
    Target {
        name: "node",
        about: "input sequences into the node of standin for",
        run: node::alone,
        seeds: seeds::node,
        longest: 2048,
    },
    Target {
        name: "cluster",
        about: "input sequences into a node of a cluster, with authentic heartbeats of its fellows",
        run: node::in_cluster,
        seeds: seeds::cluster,
        longest: 2048,
    },
    Target {
        name: "simulation",
        about: "whole worlds of nodes, kernels and routers, with every check of the simulator; the \
                bytes choose the scenario and the faults",
        run: simulation::run,
        seeds: seeds::simulation,
        longest: 512,
    },
];

/// The target of this name.
pub fn target(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}

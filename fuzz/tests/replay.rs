//! The corpus again, and damage to it, on any machine and without a fuzzer.
//! `STANDIN_FUZZ_ROUNDS=100000` looks longer.

use std::fs;
use std::path::{Path, PathBuf};

use standin_fuzz::mutation::{Random, damage};
use standin_fuzz::{TARGETS, Target, lease, node, seeds, target};

/// What a developer waits for at most, of everything that is committed.
const CORPUS_BYTES_MOST: usize = 1 << 20;

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus")
}

/// Every committed input of a target, in the order of their names.
fn committed(target: &Target) -> Vec<(String, Vec<u8>)> {
    let Ok(entries) = fs::read_dir(corpus().join(target.name)) else { return Vec::new() };
    let mut inputs: Vec<(String, Vec<u8>)> = entries
        .map(|entry| entry.expect("an entry").path())
        .map(|path| (path.display().to_string(), fs::read(&path).expect("an input")))
        .collect();
    inputs.sort();
    inputs
}

/// Runs a target and says with what, when it fails.
fn run(target: &Target, name: &str, bytes: &[u8]) {
    let done = std::panic::catch_unwind(|| (target.run)(bytes));
    if done.is_err() {
        let kept = std::env::temp_dir().join(format!("standin-fuzz-{}", target.name));
        fs::write(&kept, bytes).expect("the input can be kept");
        panic!("{name} fails; repeat it with: standin-fuzz run {} {}", target.name, kept.display());
    }
}

fn replay(target: &Target, rounds: usize) {
    let seeds = (target.seeds)().into_iter().map(|seed| ("a seed".to_owned(), seed));
    let inputs: Vec<(String, Vec<u8>)> = seeds.chain(committed(target)).collect();
    assert!(!inputs.is_empty());
    for (name, bytes) in &inputs {
        run(target, name, bytes);
    }
    let wished = std::env::var("STANDIN_FUZZ_ROUNDS").ok().and_then(|count| count.parse().ok());
    let mut random = Random::new(0x5eed);
    for round in 0..wished.unwrap_or(rounds) {
        let (name, bytes) = &inputs[round % inputs.len()];
        let (_, other) = &inputs[random.below(inputs.len())];
        let damaged = damage(bytes, other, target.longest, &mut random);
        run(target, &format!("damage {round} to {name}"), &damaged);
    }
}

/// One test for each target, so that they run beside each other.
macro_rules! replayed {
    ($($name:ident $rounds:literal),*) => {
        $(#[test]
        fn $name() {
            replay(target(stringify!($name)).expect("a target"), $rounds);
        })*

        #[test]
        fn every_target_is_replayed() {
            let replayed = [$(stringify!($name)),*];
            assert_eq!(TARGETS.iter().map(|target| target.name).collect::<Vec<_>>(), replayed);
        }
    };
}

replayed! {
    heartbeat 4000, session 2000, ethernet 4000, arp 4000, ndp 4000, icmp 4000, netlink 4000,
    nftables 4000, control 4000, file 1000, keyfile 4000, check 4000, keepalived 1500, lease 2000, node 400, cluster 400,
    simulation 8
}

#[test]
fn the_corpus_is_small_and_belongs_to_targets() {
    let mut bytes = 0;
    let Ok(entries) = fs::read_dir(corpus()) else { return };
    for entry in entries {
        let path = entry.expect("an entry").path();
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        let of = target(&name).unwrap_or_else(|| panic!("{name} is no target"));
        let inputs = committed(of);
        assert!(inputs.iter().all(|(_, input)| input.len() <= of.longest), "{name}: too long");
        bytes += inputs.iter().map(|(_, input)| input.len()).sum::<usize>();
    }
    assert!(bytes <= CORPUS_BYTES_MOST, "{bytes} bytes of corpus");
}

#[test]
fn the_same_bytes_give_the_same_actions() {
    for cluster in [false, true] {
        let of = target(if cluster { "cluster" } else { "node" }).expect("a target");
        let inputs = (of.seeds)().into_iter().chain(committed(of).into_iter().map(|(_, b)| b));
        for bytes in inputs.take(60) {
            assert_eq!(node::outcome(&bytes, cluster), node::outcome(&bytes, cluster));
        }
    }
}

/// A sequence in which nothing ever happens asserts nothing.
#[test]
fn the_seeds_reach_what_they_are_for() {
    for (seeds, cluster) in [(seeds::node(), false), (seeds::cluster(), true)] {
        let confirmed = seeds.iter().filter(|seed| node::outcome(seed, cluster).confirmed > 0);
        let (held, all) = (confirmed.count(), seeds.len());
        assert!(held >= 4, "in {held} of {all} an address is held; cluster: {cluster}");
    }
    let holders: Vec<_> = seeds::leases().iter().take(3).map(|seed| lease::play(seed)).collect();
    assert_eq!(holders, [[0, 1], [0, 1], [0, 2]]);
}

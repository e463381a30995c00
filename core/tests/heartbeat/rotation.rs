//! A cluster of three goes over to another key, in every order, without a packet lost.

use standin_core::heartbeat::{KeyRing, NodeId, Rejected, Verdict};

use crate::support::{NEW, Node, OLD, key};

const NAMES: [&str; 3] = ["pinky", "brain", "larry"];
const ORDERS: [[usize; 3]; 6] = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];

/// Each node sends to each other one.
fn exchange(nodes: &mut [Node; 3]) -> Vec<Result<Verdict, Rejected>> {
    let mut verdicts = Vec::new();
    for from in 0..3 {
        for to in (0..3).filter(|to| *to != from) {
            let packet = nodes[from].send(NodeId::of(NAMES[to]));
            verdicts.push(nodes[to].receive(&packet, 0).map(|receipt| receipt.verdict));
        }
    }
    verdicts
}

fn acquainted() -> [Node; 3] {
    let mut nodes = NAMES.map(|name| Node::start(name, 1));
    exchange(&mut nodes);
    exchange(&mut nodes);
    assert_heard(&mut nodes, "before");
    nodes
}

fn assert_heard(nodes: &mut [Node; 3], when: &str) {
    for verdict in exchange(nodes) {
        assert_eq!(verdict, Ok(Verdict::Evidence { new_incarnation: false }), "{when}");
    }
}

#[test]
fn every_order_of_every_step_keeps_everybody_heard() {
    let learn = KeyRing::rotating(key(OLD), key(NEW)).unwrap();
    let switch = KeyRing::rotating(key(NEW), key(OLD)).unwrap();
    let forget = KeyRing::new(key(NEW));
    for first in ORDERS {
        for second in ORDERS {
            for third in ORDERS {
                let mut nodes = acquainted();
                let steps = [(first, &learn), (second, &switch), (third, &forget)];
                for (order, keys) in steps {
                    for node in order {
                        nodes[node].gate.change_keys(keys.clone());
                        assert_heard(&mut nodes, &format!("{first:?} {second:?} {third:?}"));
                    }
                }
            }
        }
    }
}

#[test]
fn one_that_switches_too_early_is_known_by_its_key_and_heard_again_later() {
    let mut nodes = acquainted();
    let switched = KeyRing::rotating(key(NEW), key(OLD)).unwrap();
    nodes[0].gate.change_keys(switched.clone());
    for to in [1, 2] {
        let packet = nodes[0].send(NodeId::of(NAMES[to]));
        assert_eq!(nodes[to].receive(&packet, 0), Err(Rejected::UnknownKey));
        let packet = nodes[to].send(nodes[0].id);
        assert!(nodes[0].receive(&packet, 0).is_ok(), "it still hears the others");
    }
    for node in &mut nodes[1..] {
        node.gate.change_keys(switched.clone());
    }
    assert_heard(&mut nodes, "a session outlives the gap");
}

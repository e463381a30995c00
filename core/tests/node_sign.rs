//! Addresses that share a lifetime: one sign of life for all, and what follows when it is not given.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use standin_core::config::{
    ADDRESS_LIFETIME, Failback, Home, Link, LinkId, LinkState, OnAnswer, OnCheckFailure,
    RENEW_INTERVAL, Timing, Vip, VipId,
};
use standin_core::report::Report;
use standin_core::vip::Place;
use standin_core::wire::mac::Mac;
use standin_core::{Action, Config, Input, Instant, Node, neighbour, step};

const LINK: LinkId = LinkId(0);
const OURS: Mac = Mac([2, 0, 0, 0, 0, 9]);

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// A host with some addresses of its own, and a kernel that does what it is told unless it is set to
/// refuse.
struct Stage {
    node: Node,
    now: Instant,
    refuses: bool,
    done: Vec<(Instant, Action)>,
}

impl Stage {
    fn new(count: u32) -> Self {
        Self::of(count, true)
    }

    fn of(count: u32, shares_lifetime: bool) -> Self {
        let vips = (0..count).map(|number| Vip {
            address: IpAddr::V4(Ipv4Addr::from(0x0a00_0000 + number)),
            link: LINK,
            home: Home::Here,
            failback: Failback::Yes,
            on_answer: OnAnswer::Wait,
            on_check_failure: OnCheckFailure::Takeover,
            adopted: false,
            shares_lifetime,
        });
        let links = vec![Link { name: Arc::from("eth0"), state: Self::link(true) }];
        let dead_after = ms(1000);
        let interval = Timing::default_interval(dead_after);
        let timing = Timing { dead_after, interval, back_after: Duration::ZERO };
        let config = Config::new(links, Vec::new(), vips.collect(), Vec::new(), timing);
        let now = Instant::from_nanos(1_000_000_000);
        let node = Node::new(config.expect("valid"), 1, now);
        let mut stage = Self { node, now, refuses: false, done: Vec::new() };
        stage.give(Input::Idle);
        stage.run(ms(10_000));
        assert!(stage.all_are(Place::Held), "{:?}", stage.node.status(stage.now).vips);
        stage.done.clear();
        stage
    }

    fn link(up: bool) -> LinkState {
        let ipv4 = Some(Ipv4Addr::new(192, 0, 2, 9));
        LinkState { up, mac: OURS, ipv4, ipv6: None, gateways: Vec::new(), router: false }
    }

    fn all_are(&self, place: Place) -> bool {
        self.node.status(self.now).vips.iter().all(|vip| vip.place == place)
    }

    /// An input, and what follows from it.
    fn give(&mut self, input: Input<'_>) {
        step(&mut self.node, self.now, input);
        self.settle();
    }

    fn settle(&mut self) {
        step(&mut self.node, self.now, Input::Idle);
        while let Some(action) = self.node.poll_action() {
            let result = if self.refuses { Err("no such table".to_owned()) } else { Ok(()) };
            let answer = match &action {
                Action::AddAddress { vip, .. } => Some(Input::AddressAdded { vip: *vip, result }),
                Action::SignLife { .. } => Some(Input::LifeSigned { result }),
                Action::RemoveAddress { vip } => {
                    Some(Input::AddressRemoved { vip: *vip, result: Ok(()) })
                }
                _ => None,
            };
            self.done.push((self.now, action));
            if let Some(answer) = answer {
                step(&mut self.node, self.now, answer);
                step(&mut self.node, self.now, Input::Idle);
            }
        }
    }

    fn run(&mut self, length: Duration) {
        let end = self.now + length;
        while let Some((at, _)) = self.node.poll_timeout().filter(|(at, _)| *at <= end) {
            self.now = self.now.max(at);
            self.node.handle_timeout(self.now);
            self.settle();
        }
        self.now = end;
    }

    fn times(&self, of: impl Fn(&Action) -> bool) -> Vec<Instant> {
        self.done.iter().filter(|(_, action)| of(action)).map(|(at, _)| *at).collect()
    }

    fn count(&self, of: impl Fn(&Action) -> bool) -> usize {
        self.times(of).len()
    }
}

fn adds(action: &Action) -> bool {
    matches!(action, Action::AddAddress { .. })
}

fn removes(action: &Action) -> bool {
    matches!(action, Action::RemoveAddress { .. })
}

fn signs(action: &Action) -> bool {
    matches!(action, Action::SignLife { lifetime } if *lifetime == ADDRESS_LIFETIME)
}

fn announces(action: &Action) -> bool {
    let Action::SendFrame { frame, .. } = action else { return false };
    neighbour::hear(frame).is_ok_and(|heard| heard.asserts.is_some())
}

fn lapses(action: &Action) -> bool {
    matches!(action, Action::Report(Report::Lapsed { .. }))
}

#[test]
fn one_sign_in_time_serves_all() {
    for count in [1, 5, 1000] {
        let mut stage = Stage::new(count);
        stage.run(ms(30_000));
        assert_eq!(stage.count(adds), 0, "none is renewed by itself");
        let signs = stage.times(signs);
        assert!(signs.windows(2).all(|pair| pair[1].since(pair[0]) <= RENEW_INTERVAL));
        assert!((57..=59).contains(&signs.len()), "{} signs in 30 s", signs.len());
    }
}

/// Somebody removes one: it has a time of its own until it is back, whatever the kernel says at first.
#[test]
fn one_that_is_lost_is_asked_for_until_it_is_back() {
    let mut stage = Stage::new(3);
    stage.refuses = true;
    stage.give(Input::AddressLost { vip: VipId(1) });
    stage.run(ms(1200));
    assert_eq!(stage.count(adds), 3, "at once, and twice more");
    stage.refuses = false;
    stage.run(ms(600));
    assert_eq!(stage.count(adds), 4);
    assert!(stage.all_are(Place::Held));
    stage.done.clear();
    stage.run(ms(10_000));
    assert_eq!((stage.count(adds), stage.count(lapses)), (0, 0));
    assert!(stage.count(signs) >= 18);
}

/// The last that needed it came back by itself: it is given on.
#[test]
fn the_sign_is_given_while_one_is_missing() {
    let mut stage = Stage::new(1);
    stage.refuses = true;
    stage.give(Input::AddressLost { vip: VipId(0) });
    stage.run(ms(700));
    stage.refuses = false;
    stage.run(ms(20_000));
    assert!(stage.all_are(Place::Held));
    assert!(stage.count(signs) >= 38, "{}", stage.count(signs));
    assert_eq!(stage.count(lapses), 0);
}

/// The kernel answers for none of them any more, and others may: none is announced, all are removed
/// before the sign is given again, and each is asked for.
#[test]
fn without_a_sign_all_are_given_up_for_gone() {
    for count in [3, 100] {
        let mut stage = Stage::new(count);
        let from = stage.now;
        stage.refuses = true;
        stage.run(ADDRESS_LIFETIME);
        let refused = |action: &Action| {
            matches!(action, Action::Report(Report::SignRefused { held, .. })
                if *held == count as usize)
        };
        assert_eq!(stage.count(refused), 1, "said once");
        stage.run(RENEW_INTERVAL);
        assert_eq!(stage.count(lapses), count as usize);
        assert_eq!(stage.count(removes), count as usize);
        let lapsed = stage.times(lapses)[0];
        assert!(lapsed.since(from) + RENEW_INTERVAL >= ADDRESS_LIFETIME);
        stage.refuses = false;
        stage.run(ms(3000));
        assert!(stage.all_are(Place::Held));
        let place = |of: fn(&Action) -> bool| {
            let after = |(at, action): &(Instant, Action)| *at >= lapsed && of(action);
            stage.done.iter().position(after).expect("it happens")
        };
        let last_removal = stage.done.iter().rposition(|(_, action)| removes(action));
        let last_removal = last_removal.expect("it happens");
        assert!(last_removal < place(adds), "{count}");
        assert!(last_removal < place(announces), "{count}");
        assert!(last_removal < place(signs), "{count}");
    }
}

/// A process that did not run for long knows that first of all.
#[test]
fn who_was_stopped_for_long_gives_all_up_before_anything_else() {
    for late in [ms(100), ms(1400), ms(1999), ms(2600), ms(60_000)] {
        let mut stage = Stage::new(3);
        stage.now = stage.now + late;
        stage.give(Input::Frame { link: LINK, bytes: &[] });
        let gone = late >= ADDRESS_LIFETIME;
        assert_eq!(stage.count(lapses), if gone { 3 } else { 0 }, "{late:?}");
        if gone {
            assert!(removes(&stage.done[1].1) || lapses(&stage.done[1].1), "{:?}", stage.done[1]);
        }
        stage.run(ms(2000));
        assert!(stage.all_are(Place::Held), "{late:?}");
    }
}

/// Where nobody can be reached nobody can have them either: they stay, and are confirmed anew.
#[test]
fn those_whose_link_is_down_stay() {
    let mut stage = Stage::new(3);
    stage.give(Input::Link { link: LINK, state: Stage::link(false) });
    stage.now = stage.now + ms(5000);
    stage.give(Input::Idle);
    assert_eq!(stage.count(lapses), 0);
    stage.run(ms(2000));
    assert!(stage.all_are(Place::Held));
    assert!(stage.count(adds) >= 3);
    stage.give(Input::Link { link: LINK, state: Stage::link(true) });
    stage.done.clear();
    stage.run(ms(10_000));
    assert!(stage.all_are(Place::Held));
    assert!(stage.count(signs) >= 18 && stage.count(lapses) == 0);
}

#[test]
fn no_sign_is_given_once_all_have_gone() {
    let mut stage = Stage::new(3);
    stage.give(Input::Stop);
    stage.run(ms(200));
    assert!(stage.all_are(Place::Away));
    stage.done.clear();
    stage.run(ms(5000));
    assert_eq!(stage.count(signs), 0);
}

/// The kernel's word on what is left to the next run may come when a renewal is due.
#[test]
fn what_is_left_to_the_next_run_is_not_renewed_for_less() {
    for shares_lifetime in [true, false] {
        let mut stage = Stage::of(3, shares_lifetime);
        step(&mut stage.node, stage.now, Input::StopKeeping);
        while let Some(action) = stage.node.poll_action() {
            stage.done.push((stage.now, action));
        }
        let outlasts = |action: &Action| match action {
            Action::AddAddress { lifetime, .. } => *lifetime > ADDRESS_LIFETIME,
            _ => false,
        };
        assert_eq!(stage.count(outlasts), 3);
        stage.now = stage.now + RENEW_INTERVAL;
        for vip in (0..3).map(VipId) {
            stage.give(Input::AddressAdded { vip, result: Ok(()) });
        }
        assert_eq!((stage.count(adds), stage.count(signs)), (3, 0), "{:?}", stage.done);
        assert_eq!(stage.node.poll_timeout(), None);
    }
}

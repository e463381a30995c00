//! `standin keygen`: key files as they are made, rotated, read and refused.

use std::fs;
use std::num::NonZeroU64;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;

use standin::failure::Code;
use standin::keygen::{self, Keys, LARGEST_FILE_BYTES, Role};
use standin_core::heartbeat::{
    ClusterId, ConfigDigest, Draft, Flags, Gate, Header, Incarnation, Key, KeyError, KeyRing,
    NodeId,
};

const GOOD: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
const OTHER: &str = "102132435465768798a9bacbdcedfe0f102132435465768798a9bacbdcedfe0f";

/// A directory of this test's own, removed at its end.
struct Directory(PathBuf);

impl Directory {
    fn new(test: &str) -> Self {
        let path = std::env::temp_dir().join(format!("standin-key-{test}-{}", std::process::id()));
        fs::create_dir_all(&path).expect("a directory");
        Self(path)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn mode(path: &PathBuf) -> u32 {
    fs::metadata(path).expect("a file").permissions().mode() & 0o777
}

#[test]
fn a_new_key_is_secret_and_never_overwritten() {
    let directory = Directory::new("new");
    let path = directory.0.join("deep/key");
    let said = keygen::run(&path, false).expect("made");
    assert!(said.contains("copy it to every other node"), "{said}");
    assert_eq!(mode(&path), 0o600);
    let keys = Keys::read(&path).expect("a key file");
    assert_eq!(keys.second, None);
    let before = fs::read(&path).expect("text");
    let failure = keygen::run(&path, false).expect_err("it is there already");
    assert_eq!(failure.code(), Code::CannotCreate);
    assert!(failure.to_string().contains("--rotate"), "{failure}");
    assert_eq!(fs::read(&path).expect("text"), before);
    let other = directory.0.join("other");
    keygen::run(&other, false).expect("made");
    assert_ne!(Keys::read(&other).expect("a key file").current, keys.current);
}

#[test]
fn a_rotation_takes_three_steps_and_says_what_comes_next() {
    let directory = Directory::new("rotate");
    let path = directory.0.join("key");
    let failure = keygen::run(&path, true).expect_err("nothing to rotate");
    assert!(failure.to_string().contains("no such file"), "{failure}");
    keygen::run(&path, false).expect("made");
    let old = Keys::read(&path).expect("a key file").current;
    let step = |number: u8, last: bool| {
        let said = keygen::run(&path, true).expect("rotated");
        assert!(said.starts_with(&format!("step {number} of 3, written to")), "{said}");
        assert!(said.contains("copy it to every other node"), "{said}");
        assert!(said.contains("standin reload"), "{said}");
        assert_eq!(said.contains("--rotate"), !last, "{said}");
        assert_eq!(mode(&path), 0o600);
        let text = fs::read_to_string(&path).expect("text");
        for digits in text.split_whitespace().filter(|word| word.len() == 64) {
            assert!(!said.contains(digits), "a key is never shown");
        }
        Keys::read(&path).expect("a key file")
    };
    let learnt = step(1, false);
    assert_eq!(learnt.current, old);
    let (role, new) = learnt.second.expect("a second key");
    assert_eq!(role, Role::Next);
    assert_ne!(new, old);
    let switched = step(2, false);
    assert_eq!(switched, Keys { current: new.clone(), second: Some((Role::Previous, old)) });
    assert_eq!(step(3, true), Keys { current: new.clone(), second: None });
    // The next rotation begins.
    assert_eq!(step(1, false).current, new);
    assert_eq!(fs::read_dir(&directory.0).expect("a directory").count(), 1, "nothing is left over");
}

#[test]
fn a_step_that_cannot_be_written_leaves_the_file_as_it_is() {
    let directory = Directory::new("full");
    let path = directory.0.join("key");
    keygen::run(&path, false).expect("made");
    let before = fs::read(&path).expect("text");
    // In the way of the new file, whoever runs this.
    let beside = directory.0.join(format!("key.new-{}", std::process::id()));
    fs::write(&beside, "in the way").expect("written");
    let failure = keygen::run(&path, true).expect_err("it is in the way");
    assert_eq!(failure.code(), Code::CannotCreate);
    assert_eq!(fs::read(&path).expect("text"), before);
    assert_eq!(fs::read(&beside).expect("text"), b"in the way", "it is not ours");
    fs::remove_file(&beside).expect("removed");
    fs::write(&path, "no key").expect("written");
    keygen::run(&path, true).expect_err("no key file");
    assert_eq!(fs::read(&path).expect("text"), b"no key");
}

/// Whether a packet that is sealed with the keys of `from` is believed with those of `to`.
fn believed(from: &KeyRing, to: &KeyRing) -> bool {
    let cluster = ClusterId::of("web");
    let header = Header {
        sender: NodeId::of("pinky"),
        receiver: NodeId::of("brain"),
        number: 1,
        flags: Flags::NONE,
        config: ConfigDigest { nodes: 1, vips: 2 },
        incarnation: Incarnation::from_random(3),
        counter: NonZeroU64::MIN,
        heard: None,
        challenge: None,
        response: None,
        stamp: None,
        echo: None,
    };
    let mut packet = Vec::new();
    Draft::new(cluster, &header, &mut packet).seal(from);
    Gate::new(cluster, NodeId::of("brain"), to.clone()).open(&packet).is_ok()
}

#[test]
fn three_nodes_understand_each_other_in_whatever_order_they_get_the_files() {
    const ORDERS: [[usize; 3]; 6] =
        [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];
    let directory = Directory::new("cluster");
    let path = directory.0.join("key");
    keygen::run(&path, false).expect("made");
    let ring = || keygen::read_ring(&path, "web").expect("a key file");
    let mut before = ring();
    // Two rotations, one after the other.
    for step in 1..=6 {
        keygen::run(&path, true).expect("rotated");
        let after = ring();
        for order in ORDERS {
            let mut nodes = [&before, &before, &before];
            for node in order {
                nodes[node] = &after;
                for (from, to) in [(0, 1), (0, 2), (1, 0), (1, 2), (2, 0), (2, 1)] {
                    assert!(
                        believed(nodes[from], nodes[to]),
                        "step {step}, order {order:?}: {to} does not believe {from}"
                    );
                }
            }
        }
        before = after;
    }
}

#[test]
fn a_step_taken_before_every_node_has_the_last_one_is_what_splits_a_cluster() {
    let directory = Directory::new("early");
    let path = directory.0.join("key");
    keygen::run(&path, false).expect("made");
    let late = keygen::read_ring(&path, "web").expect("a key file");
    keygen::run(&path, true).expect("rotated");
    keygen::run(&path, true).expect("rotated");
    let early = keygen::read_ring(&path, "web").expect("a key file");
    assert!(!believed(&early, &late), "this is why a step waits");
    assert!(believed(&late, &early));
}

#[test]
fn a_rotation_follows_a_link_and_keeps_the_groups_right_to_read() {
    let directory = Directory::new("link");
    let (path, link) = (directory.0.join("key"), directory.0.join("link"));
    keygen::run(&path, false).expect("made");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).expect("a mode");
    symlink(&path, &link).expect("a link");
    keygen::run(&link, true).expect("rotated");
    assert!(fs::symlink_metadata(&link).expect("a link").is_symlink());
    assert!(Keys::read(&path).expect("a key file").second.is_some());
    assert_eq!(mode(&path), 0o640);
}

#[test]
fn a_second_key_is_the_previous_one_unless_it_says_next() {
    let role = |text: String| Keys::parse(&text).expect("keys").second.expect("two of them").0;
    assert_eq!(role(format!("{GOOD}\nnext {OTHER}\n")), Role::Next);
    assert_eq!(role(format!("{GOOD}\nprevious {OTHER}\n")), Role::Previous);
    assert_eq!(role(format!("{GOOD}\n{OTHER}")), Role::Previous);
    let alone = Keys::parse(&format!("# a comment\n\n  {GOOD} # the key\r\n")).expect("a key");
    assert_eq!(alone, Keys::parse(GOOD).expect("a key"));
    assert_eq!(format!("{alone:?}"), "Keys { current: Key(…), second: None }");
}

#[test]
fn a_key_is_derived_from_its_digits() {
    let number = |text: &str| Keys::parse(text).expect("keys").ring("web").expect("a ring");
    let expected = Key::derive(GOOD.as_bytes(), "web").expect("long enough").id();
    assert_eq!(number(GOOD).current().id(), expected);
    assert_eq!(number(&GOOD.to_uppercase()).current().id(), expected);
    assert_eq!(number(&format!("{GOOD}\nnext {OTHER}")).current().id(), expected);
}

#[test]
fn what_is_no_key_file_is_refused_without_telling_what_is_in_it() {
    let third = &GOOD[1..];
    for (text, reason) in [
        (String::new(), "there is no key in it"),
        ("# only a comment\n".into(), "there is no key in it"),
        ("5ecret".into(), "the key in line 1 is not 64 hexadecimal digits"),
        (format!("{GOOD}\n{third}x"), "the key in line 2 is not 64 hexadecimal digits"),
        (format!("{GOOD}\nnext {third}"), "the key in line 2 is not 64 hexadecimal digits"),
        (format!("{GOOD}\n\nnext # KEY"), "line 3 has no key after `next`"),
        (format!("next {GOOD}"), "line 1 is the next key, and the one to send with comes first"),
        (format!("previous {GOOD}\n{OTHER}"), "line 1 is the previous key"),
        (format!("{GOOD}\nNext {OTHER}"), "line 2 begins neither with `next` nor `previous`"),
        (format!("{GOOD} {OTHER}"), "line 1 begins neither with `next` nor `previous`"),
        (format!("{GOOD}\nnext {OTHER} {third}"), "line 2 has more than a key"),
        ("ü".repeat(32), "the key in line 1 is not 64 hexadecimal digits"),
        ("00".repeat(32), "line 1 is no secret"),
        (format!("{GOOD}\n{}", GOOD.to_uppercase()), "line 2 repeats the key"),
        (format!("{GOOD}\nnext {GOOD}"), "line 2 repeats the key"),
        (format!("{GOOD}\nnext {OTHER}\nprevious 1{third}"), "more than two keys"),
        (format!("{GOOD}\nnext {OTHER}\nnext {OTHER}"), "more than two keys"),
    ] {
        let error = Keys::parse(&text).expect_err(reason);
        assert!(error.contains(reason), "{error}");
        let shown = text.split_whitespace().filter(|word| word.len() > 5);
        for word in shown.filter(|word| *word != "previous" && *word != "comment") {
            assert!(!error.contains(word), "{error} shows {word}");
        }
    }
}

#[test]
fn a_file_that_cannot_be_a_key_file_is_refused_whole() {
    let directory = Directory::new("strange");
    let path = directory.0.join("key");
    // The second key would be cut off: the rotation would be lost without a word.
    let comment = "#".repeat(LARGEST_FILE_BYTES as usize - GOOD.len());
    for (bytes, reason) in [
        (format!("{GOOD}\n{comment}\nnext {OTHER}").into_bytes(), "it has more than 4096 bytes"),
        (vec![b'a', 0xff], "it is not text"),
        (format!("{GOOD}\nnext\n").into_bytes(), "line 2 has no key after `next`"),
    ] {
        fs::write(&path, bytes).expect("written");
        let failure = keygen::read_ring(&path, "web").expect_err(reason);
        assert_eq!(failure.code(), Code::Config);
        assert!(failure.what().contains(reason), "{failure}");
        assert!(failure.to_string().contains("64 hexadecimal digits"), "{failure}");
    }
    let failure = keygen::read_ring(&directory.0, "web").expect_err("a directory");
    assert!(failure.what().contains("is a directory"), "{failure}");
}

#[test]
fn two_keys_that_cannot_be_told_apart_are_refused_with_the_way_out() {
    let directory = Directory::new("same");
    let path = directory.0.join("key");
    // Found by search: one key in 65536 has the number that GOOD has.
    let twin = "000000000000000000000000000000000000000000000000000000000001e44d";
    fs::write(&path, format!("{GOOD}\nnext {twin}\n")).expect("written");
    let keys = Keys::read(&path).expect("a key file");
    assert!(matches!(keys.ring("web"), Err(KeyError::SameNumber(_))));
    assert!(keys.ring("mail").is_ok(), "in another cluster they have other numbers");
    let said = keygen::read_ring(&path, "web").expect_err("the same number").to_string();
    assert!(said.contains("cannot be told apart"), "{said}");
    assert!(said.contains("delete its second key on every node"), "{said}");
    assert!(!said.contains(twin) && !said.contains(GOOD), "{said}");
}

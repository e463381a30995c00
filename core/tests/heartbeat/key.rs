//! Keys: derived, told apart, never shown.

use standin_core::heartbeat::key::SECRET_LENGTH_MIN;
use standin_core::heartbeat::{Key, KeyError, KeyRing, fingerprint};

use crate::support::{NEW, OLD, key, ring};

#[test]
fn a_key_has_the_number_that_another_implementation_derives() {
    assert_eq!(Key::derive(OLD, "web").unwrap().id().to_string(), "01f6");
    assert_eq!(Key::derive(OLD, "mail").unwrap().id().to_string(), "2269");
}

#[test]
fn white_space_around_a_key_does_not_count() {
    for file in [[OLD, b"\n"].concat(), [OLD, b"\r\n"].concat(), [b"\n \t", OLD, b" "].concat()] {
        assert_eq!(Key::derive(&file, "web").unwrap().id(), key(OLD).id());
    }
    let inside = [&OLD[..16], b"\n", &OLD[16..]].concat();
    assert_ne!(Key::derive(&inside, "web").unwrap().id(), key(OLD).id());
}

#[test]
fn a_short_key_is_refused_with_its_length() {
    for length in 0..SECRET_LENGTH_MIN {
        let padded = [&OLD[..length], b"                    \n"].concat();
        assert_eq!(Key::derive(&padded, "web").unwrap_err(), KeyError::Short(length));
    }
    assert!(Key::derive(&OLD[..SECRET_LENGTH_MIN], "web").is_ok());
    let said = KeyError::Short(3).to_string();
    assert!(said.contains("3 bytes") && said.contains("standin keygen"), "{said}");
}

#[test]
fn a_key_never_shows() {
    assert_eq!(format!("{:?}", key(OLD)), "Key(01f6)");
    let rotating = KeyRing::rotating(key(OLD), key(NEW)).unwrap();
    let shown = format!("{rotating:?}");
    assert!(shown.len() < 80, "nothing but names and numbers: {shown}");
    assert!(!format!("{:?}", ring()).contains("0123"));
}

#[test]
fn a_ring_of_keys_that_cannot_be_told_apart_is_refused() {
    let error = KeyRing::rotating(key(OLD), key(OLD)).unwrap_err();
    assert_eq!(error, KeyError::SameNumber(key(OLD).id()));
    assert!(error.to_string().contains("01f6"), "{error}");
}

#[test]
fn a_fingerprint_knows_where_its_parts_end() {
    let of = |label: &str, parts: &[&[u8]]| fingerprint(label, parts.iter().copied());
    assert_eq!(of("nodes", &[b"ab", b"c"]), of("nodes", &[b"ab", b"c"]));
    let others = [
        of("nodes", &[b"a", b"bc"]),
        of("nodes", &[b"abc"]),
        of("nodes", &[b"c", b"ab"]),
        of("nodes", &[b"ab", b"c", b""]),
        of("nodesab", &[b"c"]),
        of("vips", &[b"ab", b"c"]),
    ];
    for (index, other) in others.iter().enumerate() {
        assert_ne!(*other, of("nodes", &[b"ab", b"c"]), "{index}");
    }
}

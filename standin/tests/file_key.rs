//! `standin keygen`: key files as they are made, rotated, read and refused.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;

use standin::failure::Code;
use standin::keygen::{self, Keys};

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
    assert_eq!(keys.previous, None);
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
fn a_rotation_keeps_the_old_key_as_second_and_drops_the_third() {
    let directory = Directory::new("rotate");
    let path = directory.0.join("key");
    let failure = keygen::run(&path, true).expect_err("nothing to rotate");
    assert!(failure.to_string().contains("no such file"), "{failure}");
    keygen::run(&path, false).expect("made");
    let first = Keys::read(&path).expect("a key file");
    keygen::run(&path, true).expect("rotated");
    let second = Keys::read(&path).expect("a key file");
    assert_eq!(second.previous.as_ref(), Some(&first.current));
    assert_ne!(second.current, first.current);
    let said = keygen::run(&path, true).expect("rotated");
    assert!(said.contains("the key before it is no longer accepted"), "{said}");
    let third = Keys::read(&path).expect("a key file");
    assert_eq!(third.previous.as_ref(), Some(&second.current));
    assert_eq!(mode(&path), 0o600);
    assert_eq!(fs::read_dir(&directory.0).expect("a directory").count(), 1, "nothing is left over");
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
    assert!(Keys::read(&path).expect("a key file").previous.is_some());
    assert_eq!(mode(&path), 0o640);
}

#[test]
fn what_is_no_key_file_is_refused_without_telling_what_is_in_it() {
    let good = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
    assert!(Keys::parse(&format!("# a comment\n\n  {good}\r\n")).is_ok());
    for (text, reason) in [
        (String::new(), "there is no key in it"),
        ("# only a comment\n".into(), "there is no key in it"),
        ("secret".into(), "line 1 is not 64 hexadecimal digits"),
        (format!("{good}\n{}x", &good[1..]), "line 2 is not 64 hexadecimal digits"),
        ("ü".repeat(32), "line 1 is not 64 hexadecimal digits"),
        ("00".repeat(32), "line 1 is no secret"),
        (format!("{good}\n{}", good.to_uppercase()), "line 2 repeats the key"),
        (format!("{good}\n1{}\n2{}", &good[1..], &good[1..]), "more than two keys"),
    ] {
        let error = Keys::parse(&text).expect_err(reason);
        assert!(error.contains(reason) && !error.contains("secret\""), "{error}");
    }
    let keys = Keys::parse(good).expect("a key");
    assert_eq!(format!("{keys:?}"), "Keys { current: Key(…), previous: None }");
    assert_eq!(keys.current.as_bytes()[1], 0x11);
}

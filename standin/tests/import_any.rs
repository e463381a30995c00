//! `standin import` on any text whatever: an answer or an error, never a panic, never a long wait;
//! and what comes out is always valid.

use std::io;
use std::path::Path;

use proptest::prelude::*;
use standin::file::{self, Source};
use standin::import::{Files, NamedNode, import};

/// One text for every path.
struct Text<'a>(&'a str);

impl Files for Text<'_> {
    fn read(&self, _path: &Path) -> io::Result<String> {
        Ok(self.0.to_owned())
    }

    fn names(&self, _directory: &Path) -> Vec<String> {
        vec!["a.conf".into(), "b.conf".into()]
    }
}

fn try_it(text: &str) {
    let node = |name: &str, address: &str| NamedNode {
        name: name.into(),
        addresses: vec![address.parse().expect("an address")],
    };
    let named = [node("one", "192.0.2.1"), node("two", "192.0.2.2")];
    for (paths, named) in [
        (vec!["x/x.conf".into()], &[][..]),
        (vec!["x/x.conf".into()], &named[..]),
        (vec!["x/x.conf".into(), "y/y.conf".into()], &named[..]),
    ] {
        match import(&paths, named, None, &Text(text), true) {
            Ok(outcome) => {
                let parsed = file::parse(Source::new("standin.toml", outcome.text.as_str()));
                assert!(parsed.file.is_some(), "{text}\n{}", outcome.text);
            }
            Err(failure) => assert!(!failure.what().is_empty(), "{text}"),
        }
    }
}

/// One reading is enough for what takes its time.
fn once(text: &str) {
    let failure = import(&["x/x.conf".into()], &[], None, &Text(text), false).expect_err(text);
    assert!(!failure.what().is_empty());
}

/// Pieces that mean something, put together without sense.
fn piece() -> impl Strategy<Value = String> {
    let pieces = prop::sample::select(vec![
        "vrrp_instance V {\n",
        "vrrp_instance W",
        "vrrp_sync_group G {",
        "vrrp_script s {",
        "global_defs {",
        "}",
        "}\n",
        "{",
        "\n",
        "\n",
        "\n",
        " ",
        "\\\n",
        "\\",
        "\"",
        "'",
        "#",
        "!",
        "@one ",
        "@^two ",
        "$A=",
        "$A",
        "${A}",
        "${A",
        "$A=\\\n",
        "~SEQ(N, 1, 3) ",
        "~SEQ(N",
        "~LST({A, B}, {1,2}) ",
        "~SEQx(A,0x1,0xf)",
        "include *.conf\n",
        "include x.conf\n",
        "include {a,b}[",
        "virtual_ipaddress {\n",
        "10.0.0.9\n",
        "10.0.0.9/24 dev eth0\n",
        "fd00::1/64\n",
        "10.0.0.0/8\n",
        "unicast_src_ip 192.0.2.1\n",
        "unicast_peer {\n",
        "192.0.2.2\n",
        "priority 200\n",
        "priority",
        "state BACKUP\n",
        "nopreempt\n",
        "advert_int 0.001\n",
        "advert_int 86400\n",
        "down_timer_adverts 100\n",
        "track_script {\n",
        "s weight -10\n",
        "script \"/bin/true 'a\"\n",
        "interval 5\n",
        "timeout 9\n",
        "notify_master /bin/x\n",
        "interface eth0\n",
        "authentication { auth_pass x }\n",
        "é",
        "\u{0}",
        "\u{7f}",
        "\t",
        "group { V W }\n",
        "router_id r\n",
        "preempt_delay 0\n",
    ]);
    prop_oneof![9 => pieces.prop_map(str::to_owned), 1 => any::<char>().prop_map(String::from)]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_text_is_a_panic(text in any::<String>()) {
        try_it(&text);
    }

    #[test]
    fn no_pieces_are_a_panic(pieces in prop::collection::vec(piece(), 0..60)) {
        try_it(&pieces.concat());
    }

    #[test]
    fn no_change_to_a_valid_file_is_a_panic(
        at in any::<prop::sample::Index>(),
        length in 0_usize..20,
        instead in prop::collection::vec(piece(), 0..3),
    ) {
        let whole: Vec<char> = include_str!("import/weights-a.conf").chars().collect();
        let at = at.index(whole.len());
        let end = (at + length).min(whole.len());
        let mut text: String = whole[..at].iter().collect();
        text.push_str(&instead.concat());
        text.extend(&whole[end..]);
        try_it(&text);
    }
}

#[test]
fn definitions_that_grow_without_end_are_stopped() {
    for text in [
        "$A=${B}${B}\n$B=${A}${A}\nvrrp_instance V {\n${A}\n}\n",
        "$A=$A\n$A\n",
        "$A=\\\n$A \\\n$A\n$A\n",
        "~SEQ(A, 1, 99999) ~SEQ(B, 1, 99999) ~SEQ(C, 1, 99999) x\n",
        "include a.conf\n",
        "include {a,b,c,d}{a,b,c,d}{a,b,c,d}{a,b,c,d}{a,b,c,d}.conf\n",
    ] {
        once(text);
    }
    once(&"{\n".repeat(100_000));
    once(&"a {\n".repeat(100_000));
    once(&format!("{}\n", "\\\n".repeat(100_000)));
}

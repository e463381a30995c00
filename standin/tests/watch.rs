//! The terminal view: what a key does, and what it looks like on screens of several sizes.
//!
//! `tests/watch/NAME.txt` is a screen. With `STANDIN_BLESS=1` it is written anew, to be read before
//! it is kept.

use std::fs;
use std::path::Path;

use serde_json::{Map, Value, json};
use standin::control::watch::{Key, Line, Pane, Row, Style, View, Wish, draw, frame};

fn path(address: &str, heard: Option<u64>, lost: u64) -> Value {
    json!({ "address": address, "heard_ms_ago": heard, "received": 1000 - lost, "lost": lost })
}

fn answer(may_change: bool) -> Map<String, Value> {
    let lease = json!({ "claimed": true, "left_ms": 740, "votes": 3, "needed": 2, "waits": null });
    let status = json!({
        "node": "pinky", "cluster": "web", "version": "0.1.0", "pid": 7, "cut_off": false,
        "authority": { "voters": ["pinky", "brain", "edward"], "needed": 2, "settled": true,
                       "lease_ms": 1000, "kernel_ends_it": true, "votes_in_ms": 0 },
        "nodes": [
            { "name": "pinky", "this": true, "witness": false, "state": "takes part",
              "drained": false, "paths": [], "trouble": null },
            { "name": "brain", "this": false, "witness": false, "state": "dead", "drained": true,
              "paths": [path("10.0.0.2", None, 0), path("10.1.0.2", Some(1500), 31)],
              "round_trip_us": 210, "host": "dead", "trouble": "another key" },
            { "name": "edward", "this": false, "witness": true, "state": "takes part",
              "drained": false, "paths": [path("10.0.0.4", Some(120), 0)], "trouble": null },
        ],
        "groups": [
            { "group": "www", "addresses": ["10.0.0.8"], "holder": "pinky",
              "should_hold": "pinky", "reason": "pinky is home", "lease": lease },
            { "group": "both", "addresses": ["10.0.0.9", "fd00::9"], "holder": null,
              "should_hold": "brain", "moving": "offered to brain", "reason": "brain is home" },
        ],
    });
    let told = |at: &str, level: &str, message: &str| json!({ "at": at, "level": level, "event": "x", "message": message });
    let story = [
        told("2026-11-22T09:35:58.000000Z", "info", "ready: 2 of 2 other nodes are heard"),
        told("2026-11-22T09:36:00.123456Z", "warn", "brain is dead: nothing has answered for 1s"),
        told("2026-11-22T09:36:00.130000Z", "info", "10.0.0.8 is here and announced"),
    ];
    let answer = json!({ "status": status, "story": story, "may_change": may_change });
    let Value::Object(answer) = answer else { panic!("an object") };
    answer
}

fn view() -> View {
    let mut view = View::default();
    view.handle_look(&answer(true));
    view
}

fn press(view: &mut View, keys: &str) -> Option<Wish> {
    keys.chars().fold(None, |_, key| {
        view.handle_key(match key {
            '\n' => Key::Enter,
            '<' => Key::Escape,
            'v' => Key::Down,
            '^' => Key::Up,
            key => Key::Character(key),
        })
    })
}

fn shown(view: &View, width: usize, height: usize) -> String {
    let lines = draw(view, width, height);
    assert_eq!(lines.len(), height);
    assert!(lines.iter().all(|line| line.text.chars().count() <= width), "{lines:?}");
    lines.iter().map(|line| line.text.trim_end().to_owned() + "\n").collect()
}

/// Compares a screen with the one that was agreed.
fn agree(name: &str, screen: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/watch/{name}.txt"));
    if std::env::var_os("STANDIN_BLESS").is_some() {
        fs::write(&path, screen).expect("written");
    }
    let agreed = fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(screen, agreed, "{name}");
}

#[test]
fn a_screen_of_any_size_shows_what_matters() {
    let view = view();
    for (name, width, height) in
        [("ordinary", 80, 24), ("large", 120, 40), ("narrow", 40, 15), ("tiny", 20, 6)]
    {
        agree(name, &shown(&view, width, height));
    }
    // Whatever the size, nothing is longer or higher than it.
    for width in [0, 1, 2, 7, 200] {
        for height in [0, 1, 2, 3, 5, 11, 50] {
            shown(&view, width, height);
        }
    }
}

#[test]
fn what_covers_the_tables_is_shown() {
    let mut view = view();
    press(&mut view, "?");
    agree("help", &shown(&view, 60, 16));
    press(&mut view, "xm");
    agree("destination", &shown(&view, 60, 10));
    press(&mut view, "v\n");
    agree("question", &shown(&view, 60, 20));
    press(&mut view, "nvvve");
    agree("node", &shown(&view, 60, 10));
}

#[test]
fn a_move_is_ordered_only_after_a_yes() {
    let mut view = view();
    assert_eq!(press(&mut view, "m"), None);
    let Pane::Destination { places, at, .. } = &view.pane else { panic!("{:?}", view.pane) };
    let wanted = [Some("pinky".to_owned()), Some("brain".to_owned()), None];
    // No witness, and not where it is already.
    assert_eq!((places.as_slice(), *at), (&wanted[..], 1));
    assert_eq!(press(&mut view, "\nn"), None);
    assert_eq!(view.pane, Pane::Table);
    let order = json!({ "command": "move", "vip": "www", "node": "brain" });
    assert_eq!(press(&mut view, "m\ny"), Some(Wish::Order(order.clone())));
    let back = json!({ "command": "move", "vip": "www", "node": null });
    assert_eq!(press(&mut view, "mv\ny"), Some(Wish::Order(back)));
    assert_eq!(press(&mut view, "m<y"), None);
    let done = json!({ "ok": true, "done": "www moves to brain" });
    view.handle_answer(&Wish::Order(order.clone()), Ok(done.as_object().expect("an object")));
    assert!(shown(&view, 80, 24).ends_with("www moves to brain\n"));
    view.handle_answer(&Wish::Order(order), Err("brain cannot take www now: it is dead"));
    assert!(shown(&view, 80, 24).ends_with("brain cannot take www now: it is dead\n"));
}

#[test]
fn a_drain_is_of_a_node_and_is_undone_by_the_same_key() {
    let mut view = view();
    assert_eq!(press(&mut view, "dy"), None);
    assert_eq!(press(&mut view, "vvm"), None);
    assert!(shown(&view, 80, 24).ends_with("select a VIP: it is what moves\n"));
    let order = json!({ "command": "drain", "node": "pinky" });
    assert_eq!(press(&mut view, "dy"), Some(Wish::Order(order)));
    let order = json!({ "command": "undrain", "node": "brain" });
    assert_eq!(press(&mut view, "vdy"), Some(Wish::Order(order)));
    assert_eq!(press(&mut view, "vdy"), None, "a witness");
}

#[test]
fn who_may_not_order_is_told_why_before_anything_is_asked() {
    let mut view = View::default();
    view.handle_look(&answer(false));
    assert!(shown(&view, 80, 24).contains("you may look, not order"));
    assert_eq!(press(&mut view, "m"), None);
    assert_eq!(view.pane, Pane::Table);
    assert!(shown(&view, 100, 24).contains("you may not move: that is for root"));
    let wish = press(&mut view, "e");
    let question = json!({ "command": "explain", "vip": "www" });
    assert_eq!(wish, Some(Wish::Explain(question)), "asking needs no rights");
}

#[test]
fn a_daemon_that_goes_and_comes_back_is_survived() {
    let mut view = view();
    press(&mut view, "v");
    view.handle_trouble("nobody listens on /run/standin/standin.sock any more");
    agree("trouble", &shown(&view, 80, 24));
    assert_eq!(press(&mut view, "m"), None);
    assert!(shown(&view, 100, 24).contains("cannot move: nobody listens"));
    view.handle_look(&answer(true));
    assert!(!shown(&view, 80, 24).contains("NOT NOW"));
    assert_eq!(view.selected(), Some(&Row::Vip("both".to_owned())), "it stays selected");
    let mut fewer = answer(true);
    fewer["status"]["groups"] = json!([]);
    view.handle_look(&fewer);
    assert_eq!(view.selected(), Some(&Row::Node("pinky".to_owned())));
}

#[test]
fn an_explanation_scrolls_and_goes_away() {
    let mut view = view();
    let wish = press(&mut view, "e").expect("a question");
    let answer = json!({ "explanation": {
        "group": "www", "addresses": ["10.0.0.8"], "holder": "pinky", "reason": "pinky is home",
        "nodes": ["pinky is a candidate", "brain is dead"],
        "changes": ["pinky failing would move it to nobody"],
    }});
    view.handle_answer(&wish, Ok(answer.as_object().expect("an object")));
    agree("explanation", &shown(&view, 40, 12));
    press(&mut view, "vv");
    assert!(!shown(&view, 40, 12).contains("www is on pinky"));
    press(&mut view, "<");
    assert_eq!(view.pane, Pane::Table);
}

#[test]
fn many_rows_scroll_with_the_selection() {
    let mut answer = answer(true);
    let group = |number: usize| {
        json!({ "group": format!("10.1.0.{number}"), "addresses": [format!("10.1.0.{number}")],
                "holder": "pinky", "should_hold": "pinky", "reason": "placed here" })
    };
    answer["status"]["groups"] = (0..100).map(group).collect();
    let mut view = View::default();
    view.handle_look(&answer);
    for _ in 0..42 {
        view.handle_key(Key::Down);
    }
    assert!(shown(&view, 80, 24).contains("> 10.1.0.42"));
    view.handle_key(Key::End);
    assert!(shown(&view, 80, 24).contains("> edward"));
    view.handle_key(Key::Home);
    assert!(shown(&view, 80, 24).contains("> 10.1.0.0 "));
}

#[test]
fn colours_are_left_out_where_nobody_wants_them() {
    let line = |style| Line { text: "x".to_owned(), style };
    let lines = [Style::Heading, Style::Bad, Style::Good, Style::Selected].map(line);
    let coloured = frame(&lines, true);
    assert!(coloured.contains("\x1b[1;31mx") && coloured.contains("\x1b[32mx"));
    let plain = frame(&lines, false);
    assert!(!["31m", "32m", "33m", "\x1b[2m"].iter().any(|sgr| plain.contains(sgr)), "{plain:?}");
    assert!(plain.contains("\x1b[7mx"), "the selection is seen");
    // A full row leaves the cursor on its last column, so nothing is erased after it.
    for piece in plain.split('x').skip(1) {
        let next = piece.find('H').unwrap_or(piece.len());
        assert!(!piece[..next].contains(['K', 'J']), "{plain:?}");
    }
}

//! Requests and answers as bytes.

use std::net::IpAddr;
use std::time::Duration;

use standin_core::lease::message::{
    AsksHead, parse_answers, parse_asks, parse_voters, put_answer, put_ask, put_head, voters_body,
};
use standin_core::lease::{Answer, Ask, Ballot, Key, held_for};

const BALLOT: Ballot = Ballot { round: 3, run: 0xdead_beef };

#[test]
fn requests_come_back_as_they_went() {
    let head = AsksHead { tags: [1, u64::MAX], stamp: 99, length: Duration::from_micros(60_001) };
    let asks = [Ask::Prepare, Ask::Propose, Ask::Release].map(|ask| (Key(5), BALLOT, ask));
    let mut body = Vec::new();
    put_head(&mut body, &head);
    for (key, ballot, ask) in asks {
        put_ask(&mut body, key, ballot, ask);
    }
    assert_eq!(parse_asks(&body), Some((head, asks.to_vec())));
    for length in 0..body.len() {
        let whole = length.checked_sub(28).is_some_and(|rest| rest % 17 == 0);
        assert_eq!(parse_asks(&body[..length]).is_some(), whole, "{length} bytes");
    }
    body[28] = 3;
    assert_eq!(parse_asks(&body), None, "a request of an unknown kind");
}

#[test]
fn answers_come_back_as_they_went_and_never_promise_an_earlier_end() {
    let left = Duration::from_nanos(1_500_999);
    let answers = [
        Answer::Promised,
        Answer::Granted { stamp: 7, length: Duration::from_millis(60) },
        Answer::Taken { holder: 8, ballot: BALLOT, left },
        Answer::Outbid(BALLOT),
        Answer::Quiet { left },
        Answer::TooLong { most: Duration::from_millis(50) },
        Answer::Stranger,
        Answer::Released,
    ];
    let mut body = Vec::new();
    for answer in &answers {
        put_answer(&mut body, Key(5), BALLOT, answer);
    }
    let back = parse_answers(&body).unwrap();
    assert_eq!(back.len(), answers.len());
    for ((key, ballot, back), sent) in back.into_iter().zip(answers) {
        assert_eq!((key, ballot), (Key(5), BALLOT));
        match (sent, back) {
            (Answer::Taken { left, .. }, Answer::Taken { left: told, .. })
            | (Answer::Quiet { left }, Answer::Quiet { left: told }) => {
                assert!(told >= left && told <= left + Duration::from_micros(1));
            }
            _ => assert_eq!(back, sent),
        }
    }
    body.pop();
    assert_eq!(parse_answers(&body), None);
}

#[test]
fn voters_are_told_by_their_tag() {
    assert_eq!(parse_voters(&voters_body(77, true)), Some((77, true)));
    assert_eq!(parse_voters(&voters_body(77, false)), Some((77, false)));
    assert_eq!(parse_voters(&[0; 8]), None);
}

#[test]
fn a_group_is_called_by_its_addresses_in_any_order() {
    let ip = |text: &str| text.parse::<IpAddr>().unwrap();
    let (a, b) = (ip("192.0.2.1"), ip("2001:db8::1"));
    assert_eq!(Key::of([a, b]), Key::of([b, a]));
    assert_ne!(Key::of([a, b]), Key::of([a]));
}

/// Rates of 0.99 at the holder and 1.01 at the voter: the worst that is promised.
#[test]
fn the_holder_is_through_before_the_voter_with_clocks_one_per_cent_off() {
    for millis in [50_u64, 60, 999, 1000, 86_400_000] {
        let length = Duration::from_millis(millis);
        let true_at_holder = held_for(length).as_nanos() * 1010;
        let true_at_voter = length.as_nanos() * 990;
        // Both times 1000, the first divided by 0.99, the second by 1.01.
        assert!(true_at_holder <= true_at_voter, "{millis} ms");
        assert!(held_for(length) * 100 >= length * 97, "and loses little");
    }
}

//! Sections: there and back, what fits, what is skipped and what is refused.

use proptest::prelude::*;
use standin_core::heartbeat::section::{PREFIX_LENGTH, VIP_GROUPS_SURE};
use standin_core::heartbeat::{Rejected, Role, VipState};

use crate::support::{HOLDING, READY, gate, header, sealed, with_sections};

fn read(packet: &[u8]) -> Vec<(u16, VipState)> {
    let mut gate = gate("brain");
    let opened = gate.open(packet).expect("authentic and well formed");
    let states = opened.payload().vip_states.expect("VIP states");
    let read: Vec<_> = states.iter().collect();
    assert_eq!((states.len(), states.is_empty()), (read.len(), read.is_empty()));
    read
}

fn written(first: u16, states: &[VipState]) -> (usize, Vec<u8>) {
    let mut taken = 0;
    let packet = sealed(&header(), |draft| taken = draft.vip_states(first, states));
    (taken, packet)
}

fn refused(sections: &[u8]) {
    let mut gate = gate("brain");
    let refusal = gate.open(&with_sections(sections)).expect_err("malformed");
    assert_eq!(refusal, Rejected::Malformed, "{sections:02x?}");
}

#[test]
fn a_thousand_groups_alike_take_eight_bytes() {
    let mut states = [READY; 1000];
    let (taken, packet) = written(0, &states);
    assert_eq!((taken, packet.len() - 136), (1000, PREFIX_LENGTH + 2 + 8));
    states[300..340].fill(HOLDING);
    let (taken, packet) = written(0, &states);
    assert_eq!((taken, packet.len() - 136), (1000, PREFIX_LENGTH + 2 + 12));
    let back: Vec<_> = read(&packet).into_iter().map(|(_, state)| state).collect();
    assert_eq!(back, states);
}

#[test]
fn no_pattern_takes_more_than_a_byte_for_a_group() {
    assert_eq!(VIP_GROUPS_SURE, 1059);
    let alternating: Vec<_> = [READY, HOLDING].into_iter().cycle().take(3000).collect();
    let (taken, packet) = written(7, &alternating);
    assert_eq!((taken, packet.len()), (VIP_GROUPS_SURE, 1200));
    let (rest, packet) = written(7 + 1059, &alternating[taken..]);
    assert_eq!(rest, VIP_GROUPS_SURE);
    assert_eq!(
        read(&packet)[0],
        (1066, HOLDING),
        "the second packet goes on where the first ended"
    );
}

#[test]
fn runs_of_every_length_come_back() {
    for length in [1, 2, 3, 256, 257, 258, 259, 513, 514, 515] {
        let states = [vec![HOLDING; length], vec![READY]].concat();
        let (taken, packet) = written(0, &states);
        assert_eq!(taken, length + 1);
        let back: Vec<_> = read(&packet).into_iter().map(|(_, state)| state).collect();
        assert_eq!(back, states, "{length}");
    }
}

#[test]
fn a_run_fits_the_last_two_bytes_and_one_group_the_last() {
    for (left, expected) in [(0, 0), (1, 1), (2, 257), (3, 258), (4, 300)] {
        let mut taken = 0;
        let packet = sealed(&header(), |draft| {
            let used = draft.room() - PREFIX_LENGTH - PREFIX_LENGTH - 2 - left;
            draft.section(200, &vec![0; used]).expect("room");
            taken = draft.vip_states(0, &[HOLDING; 300]);
        });
        assert_eq!(taken, expected, "{left}");
        if taken > 0 {
            assert_eq!((read(&packet).len(), packet.len()), (taken, 1200));
        } else {
            assert_eq!(packet.len(), 1200 - PREFIX_LENGTH - 2, "nothing is begun in vain");
        }
    }
}

#[test]
fn the_last_group_has_the_number_65535() {
    let (taken, packet) = written(65_530, &[READY; 10]);
    assert_eq!(taken, 6);
    assert_eq!(read(&packet).last(), Some(&(65_535, READY)));
    assert_eq!(written(65_535, &[]).0, 0);
    // 255 runs of 257 and one group are 65 536: all there can be, and one more is refused.
    let mut all = vec![0, 2, 1, 0, 0];
    all.extend([0x80, 0xff].repeat(255));
    all.push(0);
    let (body, length) = (all.clone(), u16::try_from(all.len() - 3).unwrap());
    all[1..3].copy_from_slice(&length.to_be_bytes());
    assert_eq!(read(&with_sections(&all)).len(), 65_536);
    let mut more = body;
    more[1..3].copy_from_slice(&(length + 1).to_be_bytes());
    more.push(0);
    refused(&more);
}

#[test]
fn an_empty_row_is_not_written() {
    let (taken, packet) = written(0, &[]);
    assert_eq!((taken, packet.len()), (0, 136));
    // And where another writes one, it is read as such.
    assert_eq!(read(&with_sections(&[0, 0, 2, 0, 9])), []);
}

#[test]
fn what_a_kernel_refuses_is_a_bit_of_its_own() {
    let refused = VipState { refused: true, ..HOLDING };
    assert_eq!(read(&with_sections(&[0, 0, 3, 0, 9, 0b0100_1110])), [(9, refused)]);
}

#[test]
fn sections_of_other_kinds_are_skipped() {
    let packet = with_sections(&[77, 0, 2, 1, 2, 0, 0, 3, 0, 9, 0x0e, 255, 0, 0, 77, 0, 0]);
    assert_eq!(read(&packet), [(9, HOLDING)]);
    let mut gate = gate("brain");
    let opened = gate.open(&packet).unwrap();
    let kinds: Vec<_> = opened.payload().sections().map(|(kind, _)| kind).collect();
    assert_eq!(kinds, [77, 0, 255, 77]);
}

#[test]
fn what_does_not_parse_is_refused() {
    // Cut short: the prefix, the body.
    refused(&[9]);
    refused(&[9, 0]);
    refused(&[9, 0, 1]);
    refused(&[9, 0, 2, 1]);
    refused(&[9, 0xff, 0xff, 1, 2, 3]);
    refused(&[9, 0, 1, 1, 0]);
    // VIP states: no number, a run without its count.
    refused(&[0, 0, 0]);
    refused(&[0, 0, 1, 0]);
    refused(&[0, 0, 3, 0, 0, 0x80]);
    refused(&[0, 0, 4, 0, 0, 0x01, 0x80]);
    // More groups than there are numbers.
    refused(&[0, 0, 4, 0xff, 0xff, 1, 1]);
    refused(&[0, 0, 4, 0xff, 0xff, 0x80, 0]);
    // Bitmaps of other sizes.
    for kind in [1, 2] {
        refused(&[kind, 0, 0]);
        refused(&[kind, 0, 7, 0, 0, 0, 0, 0, 0, 0]);
        refused(&[kind, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    }
    // Twice.
    refused(&[0, 0, 3, 0, 0, 1, 0, 0, 3, 0, 1, 1]);
    refused(&[[1, 0, 8].as_slice(), &[0; 8], &[1, 0, 8], &[0; 8]].concat());
    refused(&[[2, 0, 8].as_slice(), &[0; 8], &[2, 0, 8], &[0; 8]].concat());
}

fn states() -> impl Strategy<Value = Vec<VipState>> {
    let roles = [Role::Idle, Role::Taking, Role::Holding, Role::Yielding];
    let state = (prop::sample::select(roles.to_vec()), any::<[bool; 5]>());
    let state = state.prop_map(|(role, [eligible, healthy, asked, doubted, refused])| VipState {
        role,
        eligible,
        healthy,
        asked,
        doubted,
        refused,
    });
    prop::collection::vec((state, 1_usize..300), 0..12).prop_map(|runs| {
        runs.into_iter().flat_map(|(state, run)| std::iter::repeat_n(state, run)).collect()
    })
}

proptest! {
    #[test]
    fn states_come_back_whole_or_in_parts(first in 0_u16..60_000, states in states(), used in 0_usize..1064) {
        let mut taken = 0;
        let packet = sealed(&header(), |draft| {
            draft.section(200, &vec![0; used.min(draft.room() - 3)]).unwrap();
            taken = draft.vip_states(first, &states);
        });
        prop_assert!(packet.len() <= 1200);
        let mut gate = gate("brain");
        let opened = gate.open(&packet).unwrap();
        let Some(read) = opened.payload().vip_states else {
            prop_assert_eq!(taken, 0);
            return Ok(());
        };
        prop_assert_eq!(read.len(), taken);
        prop_assert!(read.iter().eq((first..).zip(states[..taken].iter().copied())));
        if taken < states.len() {
            prop_assert!(packet.len() >= 1199, "room was left");
        }
    }
}

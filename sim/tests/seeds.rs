//! A few seeds with every `cargo test`; `cargo xtask sim` runs thousands.

use standin_sim::run;

#[test]
fn seeds_hold_their_promises_and_run_alike() {
    for seed in 0..60 {
        let verdict = run::run(seed);
        assert_eq!(verdict.broken, None, "cargo xtask sim --seed {seed} --story");
    }
}

#[test]
fn a_story_is_told_only_where_it_is_asked_for() {
    assert!(run::run_once(3, false).story.is_empty());
    let told = run::run_once(3, true);
    assert!(told.story.iter().any(|line| line.contains("is here and announced")));
    assert_eq!(told.fingerprint, run::run_once(3, false).fingerprint);
}

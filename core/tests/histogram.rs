//! Durations counted by size.

use std::time::Duration;

use standin_core::histogram::{Histogram, LIMITS};

#[test]
fn a_limit_belongs_to_its_class_and_nothing_is_lost_beyond_the_last() {
    let mut histogram = Histogram::default();
    for limit in LIMITS {
        histogram.record(limit);
    }
    let rising: Vec<(Duration, u64)> = histogram.cumulative().collect();
    let wanted: Vec<(Duration, u64)> = LIMITS.into_iter().zip(1..).collect();
    assert_eq!(rising, wanted);
    histogram.record(Duration::from_secs(11));
    histogram.record(Duration::from_nanos(100_001));
    assert_eq!(histogram.count(), 18);
    assert_eq!(histogram.cumulative().nth(1), Some((Duration::from_micros(250), 3)));
    let all: Duration = LIMITS.into_iter().sum();
    assert_eq!(histogram.sum(), all + Duration::from_secs(11) + Duration::from_nanos(100_001));
}

#[test]
fn the_limits_rise() {
    assert!(LIMITS.windows(2).all(|pair| pair[0] < pair[1]));
}

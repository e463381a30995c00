//! Small values of the command line, read from their text. Each reader's error is a sentence that
//! ends clap's `invalid value … for …`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use standin_core::config::{Failback, OnAnswer, OnCheckFailure};
use standin_core::wire::Mac;

use crate::duration;

/// Reads a MAC address.
///
/// # Errors
/// A sentence that says how it should look.
pub fn mac(text: &str) -> Result<Mac, String> {
    text.parse().map_err(|error: standin_core::wire::MacParseError| error.to_string())
}

/// Reads an address that a host can have as its own: neither a group nor all zero.
///
/// # Errors
/// A sentence that says what is wrong.
pub fn unicast_mac(text: &str) -> Result<Mac, String> {
    let mac = mac(text)?;
    if mac.is_multicast() {
        return Err(format!("{mac} is a group address: no host can send from it"));
    }
    if mac.is_zero() {
        return Err(format!("{mac} is nobody's address"));
    }
    Ok(mac)
}

/// A reader of durations within bounds.
pub fn time(
    least: Duration,
    most: Duration,
) -> impl Fn(&str) -> Result<Duration, String> + Clone + Send + Sync + 'static {
    move |text| match duration::parse(text)? {
        time if (least..=most).contains(&time) => Ok(time),
        _ => Err(format!("expected {} to {}", duration::show(least), duration::show(most))),
    }
}

/// A reader of whole numbers within bounds.
pub fn number<T>(least: T, most: T) -> impl Fn(&str) -> Result<T, String> + Clone + Send + Sync
where
    T: Copy + Ord + fmt::Display + FromStr + Send + Sync + 'static,
{
    move |text| match text.parse() {
        Ok(number) if (least..=most).contains(&number) => Ok(number),
        _ => Err(format!("expected a number from {least} to {most}")),
    }
}

/// Reads `--failback`: `yes`, `no` or a duration.
///
/// # Errors
/// A sentence that says how it should look.
pub fn failback(text: &str) -> Result<Failback, String> {
    match text {
        "yes" => Ok(Failback::Yes),
        "no" => Ok(Failback::No),
        other => duration::parse(other)
            .map(Failback::After)
            .map_err(|error| format!("say yes, no or a duration such as 30s ({error})")),
    }
}

/// Reads `--on-check-failure`.
pub fn on_check_failure() -> impl TypedValueParser<Value = OnCheckFailure> {
    PossibleValuesParser::new(["takeover", "warn"]).map(|word| match word.as_str() {
        "warn" => OnCheckFailure::Warn,
        _ => OnCheckFailure::Takeover,
    })
}

/// Reads `--on-answer`.
pub fn on_answer() -> impl TypedValueParser<Value = OnAnswer> {
    PossibleValuesParser::new(["wait", "takeover"]).map(|word| match word.as_str() {
        "takeover" => OnAnswer::Takeover,
        _ => OnAnswer::Wait,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_cannot_send_from_a_group_or_from_nothing() {
        assert_eq!(unicast_mac("02:00:5e:00:00:a1"), Ok(Mac([2, 0, 0x5e, 0, 0, 0xa1])));
        for text in ["ff:ff:ff:ff:ff:ff", "00:00:00:00:00:00", "02:00", "02:00:5e:00:00:zz"] {
            assert!(unicast_mac(text).is_err(), "{text}");
        }
        assert_eq!(mac("ff:ff:ff:ff:ff:ff"), Ok(Mac::BROADCAST));
    }

    #[test]
    fn what_is_out_of_bounds_is_told_the_bounds() {
        let number = number(1_u32, 100);
        assert_eq!((number("1"), number("100")), (Ok(1), Ok(100)));
        for text in ["0", "101", "-1", "x", "", "1.5", "99999999999999999999"] {
            assert_eq!(number(text), Err("expected a number from 1 to 100".into()), "{text}");
        }
        let time = time(Duration::from_millis(10), Duration::from_hours(1));
        assert_eq!(time("10ms"), Ok(Duration::from_millis(10)));
        for text in ["9ms", "2h", "0s"] {
            assert_eq!(time(text), Err("expected 10ms to 3600s".into()), "{text}");
        }
        assert_eq!(time("-1s"), Err("a duration cannot be negative".into()));
    }

    #[test]
    fn failback_is_yes_no_or_a_delay() {
        assert_eq!(failback("yes"), Ok(Failback::Yes));
        assert_eq!(failback("no"), Ok(Failback::No));
        assert_eq!(failback("30s"), Ok(Failback::After(Duration::from_secs(30))));
        let error = failback("maybe").expect_err("no duration");
        assert!(error.starts_with("say yes, no or a duration"), "{error}");
    }
}

//! Small values of the command line, read from their text. Each reader's error is a sentence that
//! ends clap's `invalid value … for …`.

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
    use std::time::Duration;

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
    fn failback_is_yes_no_or_a_delay() {
        assert_eq!(failback("yes"), Ok(Failback::Yes));
        assert_eq!(failback("no"), Ok(Failback::No));
        assert_eq!(failback("30s"), Ok(Failback::After(Duration::from_secs(30))));
        let error = failback("maybe").expect_err("no duration");
        assert!(error.starts_with("say yes, no or a duration"), "{error}");
    }
}

//! Sizes and durations as people write them: `"64 MiB"`, `"50 ms"`.
//!
//! Flows in: the text of a value. Flows out: bytes or a [`Duration`], and the
//! way back, for messages and documentation. A whole number and a unit; the
//! unit is never implied, since nobody agrees on it.

use std::time::Duration;

/// Units of a size with their bytes, smallest first.
const SIZES: &[(&str, u64)] = &[
    ("B", 1),
    ("kB", 1000),
    ("KiB", 1 << 10),
    ("MB", 1_000_000),
    ("MiB", 1 << 20),
    ("GB", 1_000_000_000),
    ("GiB", 1 << 30),
];

/// The units sizes are printed in, largest first.
const PRINTED_SIZES: &[(&str, u64)] = &[("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];

/// Units of a duration with their milliseconds, smallest first.
const DURATIONS: &[(&str, u64)] = &[("ms", 1), ("s", 1000), ("min", 60_000), ("h", 3_600_000)];

/// Why a text is not an amount. The text itself is the caller's to show.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnitError {
    /// `"64"`
    #[error("the unit is missing; units are {0}")]
    Missing(String),
    /// `"64 mb"`, `"3 m"`
    #[error("there is no unit \"{0}\"; units are {1}")]
    Unknown(String, String),
    /// `"many MiB"`
    #[error("it must start with a whole number")]
    NoNumber,
    /// `"1.5 GiB"`
    #[error("only whole numbers are read: use a smaller unit")]
    Fraction,
    /// More than 64 bits of bytes or milliseconds.
    #[error("the number is too large")]
    TooLarge,
}

/// Bytes of a size like `"64 MiB"`.
///
/// # Errors
/// [`UnitError`] says what is missing or unknown.
pub fn parse_size(text: &str) -> Result<u64, UnitError> {
    parse(text, SIZES)
}

/// A duration like `"50 ms"` or `"2 min"`.
///
/// # Errors
/// [`UnitError`] says what is missing or unknown.
pub fn parse_duration(text: &str) -> Result<Duration, UnitError> {
    parse(text, DURATIONS).map(Duration::from_millis)
}

/// `bytes` in the largest unit that leaves a whole number.
#[must_use]
pub fn format_size(bytes: u64) -> String {
    let fits = |&&(_, unit): &&(&str, u64)| bytes != 0 && bytes.is_multiple_of(unit);
    match PRINTED_SIZES.iter().find(fits) {
        Some((name, unit)) => format!("{} {name}", bytes / unit),
        None => format!("{bytes} B"),
    }
}

/// `duration`, rounded down to milliseconds, in the largest unit that leaves
/// a whole number.
#[must_use]
pub fn format_duration(duration: Duration) -> String {
    let millis = duration.as_millis();
    if millis == 0 {
        return "0 s".to_owned();
    }
    let fits = |&&(_, unit): &&(&str, u64)| millis.is_multiple_of(u128::from(unit));
    match DURATIONS.iter().rev().find(fits) {
        Some((name, unit)) => format!("{} {name}", millis / u128::from(*unit)),
        None => format!("{millis} ms"),
    }
}

fn parse(text: &str, units: &[(&str, u64)]) -> Result<u64, UnitError> {
    let text = text.trim();
    let digits = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, rest) = text.split_at(digits);
    if number.is_empty() {
        return Err(UnitError::NoNumber);
    }
    if rest.starts_with(['.', ',']) {
        return Err(UnitError::Fraction);
    }
    let unit = rest.trim_start();
    let names = || units.iter().map(|(name, _)| *name).collect::<Vec<_>>();
    if unit.is_empty() {
        return Err(UnitError::Missing(names().join(", ")));
    }
    let Some((_, factor)) = units.iter().find(|(name, _)| *name == unit) else {
        return Err(UnitError::Unknown(unit.to_owned(), names().join(", ")));
    };
    // Only digits are left, so the one possible failure is the size.
    let number: u64 = number.parse().map_err(|_| UnitError::TooLarge)?;
    number.checked_mul(*factor).ok_or(UnitError::TooLarge)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn sizes_in_every_unit() {
        for (text, bytes) in [
            ("0 B", 0),
            ("7 B", 7),
            ("64 kB", 64_000),
            ("64KiB", 65_536),
            (" 4 MiB ", 4 << 20),
            ("3 MB", 3_000_000),
            ("2 GB", 2_000_000_000),
            ("2 GiB", 2 << 30),
        ] {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
        }
    }

    #[test]
    fn durations_in_every_unit() {
        for (text, millis) in [
            ("0 s", 0),
            ("250 ms", 250),
            ("3s", 3000),
            ("2 min", 120_000),
            ("1 h", 3_600_000),
        ] {
            assert_eq!(
                parse_duration(text),
                Ok(Duration::from_millis(millis)),
                "{text}"
            );
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        let says = |text: &str| parse_size(text).unwrap_err().to_string();
        assert_eq!(
            says("64"),
            "the unit is missing; units are B, kB, KiB, MB, MiB, GB, GiB"
        );
        assert_eq!(
            says("64 mib"),
            "there is no unit \"mib\"; units are B, kB, KiB, MB, MiB, GB, GiB"
        );
        assert_eq!(
            parse_duration("3 m").unwrap_err().to_string(),
            "there is no unit \"m\"; units are ms, s, min, h"
        );
        assert_eq!(parse_size("1.5 GiB"), Err(UnitError::Fraction));
        assert_eq!(parse_size("-1 B"), Err(UnitError::NoNumber));
        assert_eq!(parse_size(""), Err(UnitError::NoNumber));
        assert_eq!(
            parse_size("99999999999999999999 B"),
            Err(UnitError::TooLarge)
        );
        assert_eq!(parse_size("20000000000 GiB"), Err(UnitError::TooLarge));
    }

    proptest! {
        #[test]
        fn printed_sizes_are_read_back(bytes in any::<u64>()) {
            prop_assert_eq!(parse_size(&format_size(bytes)), Ok(bytes));
        }

        #[test]
        fn printed_durations_are_read_back(millis in any::<u64>()) {
            let duration = Duration::from_millis(millis);
            prop_assert_eq!(parse_duration(&format_duration(duration)), Ok(duration));
        }

        #[test]
        fn amounts_are_number_times_unit(n in 0..1_000_000_u64, space in " {0,2}") {
            for (name, factor) in SIZES {
                prop_assert_eq!(parse_size(&format!("{n}{space}{name}")), Ok(n * factor));
            }
        }

        #[test]
        fn any_text_is_read_or_refused(text in "\\PC{0,24}") {
            if parse_size(&text).is_ok() {
                prop_assert!(text.trim_start().starts_with(|c: char| c.is_ascii_digit()));
            }
            let _ = parse_duration(&text);
        }
    }
}

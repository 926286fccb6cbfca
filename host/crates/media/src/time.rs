//! Nanoseconds, and the milliseconds of RTMP and FLV.
//!
//! An RTMP timestamp is a number of milliseconds modulo 2^32 (RTMP 1.0 section
//! 3): it wraps after 49.7 days.

/// Nanoseconds in a millisecond.
pub const MILLISECOND: i64 = 1_000_000;

/// After so long RTMP's timestamps begin at 0 again, nanoseconds.
const WRAP: i64 = (1 << 32) * MILLISECOND;

/// The nanoseconds of a timestamp.
#[inline]
pub const fn from_ms(timestamp: u32) -> i64 {
    // At most 2^32 million, which fits.
    timestamp as i64 * MILLISECOND
}

/// The timestamp of a time: its whole milliseconds, wrapped.
#[inline]
pub fn to_ms(time: i64) -> u32 {
    u32::try_from(wrapped(time) / MILLISECOND).unwrap_or_default()
}

/// A time as far as a publisher of RTMP can say it.
#[inline]
pub(crate) fn wrapped(time: i64) -> i64 {
    time.rem_euclid(WRAP)
}

/// From one time to another that may have wrapped, the shorter way around.
#[inline]
pub(crate) fn distance(from: i64, to: i64) -> i64 {
    let ahead = to.saturating_sub(from);
    if (-WRAP / 2..WRAP / 2).contains(&ahead) {
        return ahead;
    }
    let ahead = wrapped(ahead);
    if ahead < WRAP / 2 {
        ahead
    } else {
        ahead.saturating_sub(WRAP)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn timestamps_wrap_and_times_do_not() {
        for timestamp in [0, 1, 0xff_ffff, 0x7fff_ffff, u32::MAX] {
            assert_eq!(to_ms(from_ms(timestamp)), timestamp);
        }
        assert_eq!(to_ms(from_ms(u32::MAX) + MILLISECOND), 0);
        assert_eq!(to_ms(-1), u32::MAX);
        assert_eq!(to_ms(from_ms(7) + 999_999), 7);
        let extremes = [i64::MIN, i64::MAX];
        for (from, to) in extremes.into_iter().zip(extremes.into_iter().rev()) {
            assert!((-WRAP / 2..WRAP / 2).contains(&distance(from, to)));
        }
    }

    proptest! {
        #[test]
        fn the_shorter_way_is_that_of_32_bits(from: u32, to: u32) {
            let step = to.wrapping_sub(from).cast_signed();
            let expected = i64::from(step) * MILLISECOND;
            prop_assert_eq!(distance(from_ms(from), from_ms(to)), expected);
        }
    }
}

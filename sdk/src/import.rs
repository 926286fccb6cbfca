//! How a call reaches the host.

/// Asks the host of this component; compiled natively, the
/// [`MockHost`](crate::testing::MockHost) of this thread.
macro_rules! ask {
    ($interface:ident :: $function:ident ( $($argument:expr),* ), $mock:expr) => {{
        #[cfg(target_family = "wasm")]
        {
            crate::bindings::livehost::app::$interface::$function($($argument),*)
        }
        #[cfg(not(target_family = "wasm"))]
        {
            crate::testing::with($mock)
        }
    }};
}

pub(crate) use ask;

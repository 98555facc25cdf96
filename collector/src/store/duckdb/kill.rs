//! Places at which the tests kill the process: a store must be the same after any of them.

/// Which place; only in tests of this crate.
#[cfg(test)]
pub(super) const VARIABLE: &str = "GANNET_TEST_KILL_POINT";

/// Ends the process as SIGKILL does, where a test asked for this place; nothing in any other build.
#[inline]
pub(super) fn kill_point(_number: u32) {
    #[cfg(test)]
    if std::env::var(VARIABLE).is_ok_and(|wanted| wanted == _number.to_string()) {
        std::process::abort();
    }
}

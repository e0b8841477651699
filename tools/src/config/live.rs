//! The guard before live trading: two switches must agree, and the venue must say that it is live.

use super::file::Mode;
use super::layer::{ConfigError, parse_switch};

/// Refuses live trading unless the mode says so, `ENABLE_LIVE_TRADING` says so, and the venue is live.
///
/// # Errors
/// [`ConfigError::Contradiction`], saying which of the three is missing.
pub fn check_live(
    mode: Mode,
    venue_is_live: bool,
    variable: impl Fn(&str) -> Option<String>,
) -> Result<(), ConfigError> {
    let name = "ENABLE_LIVE_TRADING";
    let armed = variable(name).map_or(Ok(false), |text| parse_switch(name, &text))?;
    let refuse = |message: &str| Err(ConfigError::Contradiction(message.to_owned()));
    match (mode, armed, venue_is_live) {
        (Mode::Paper, false, _) | (Mode::Live, true, true) => Ok(()),
        (Mode::Paper, true, _) => refuse(
            "ENABLE_LIVE_TRADING=true, but the mode is paper: unset the variable, or set mode = \"live\" if you mean it",
        ),
        (Mode::Live, false, _) => refuse(
            "the mode is live, but ENABLE_LIVE_TRADING=true is not set in the environment: live needs both; refusing to start",
        ),
        (Mode::Live, true, false) => refuse(
            "the mode is live and armed, but the venue is the paper venue, which is not live; refusing to start. \
             Use --mode paper",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn live_starts_only_when_mode_environment_and_venue_agree() {
        for mode in [Mode::Paper, Mode::Live] {
            for armed in [None, Some("false"), Some("true")] {
                for venue in [false, true] {
                    let allowed = check_live(mode, venue, |_| armed.map(str::to_owned)).is_ok();
                    let live = mode == Mode::Live && armed == Some("true") && venue;
                    let paper = mode == Mode::Paper && armed != Some("true");
                    assert_eq!(allowed, live || paper, "{mode:?} {armed:?} {venue}");
                }
            }
        }
        assert!(check_live(Mode::Live, true, |_| Some("perhaps".into())).is_err());
    }
}

//! What a command is asked for that cannot be: exit code 2, as for an unknown flag.

use std::fmt;

use backtestd_core::market::Ts;

/// A command that was asked for what cannot be.
#[derive(Debug)]
pub struct Misuse(String);

impl Misuse {
    /// With what is wrong and what to do instead.
    #[must_use]
    pub const fn new(what: String) -> Self {
        Self(what)
    }
}

impl fmt::Display for Misuse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Misuse {}

/// The days between which a command works: in order, and begun by now.
///
/// # Errors
/// [`Misuse`] where they cannot be.
pub(super) fn check_days(start: Option<Ts>, end: Option<Ts>, now: Ts) -> Result<(), Misuse> {
    if let Some(start) = start.filter(|start| *start > now) {
        return Err(Misuse::new(format!("--start {start} is in the future: it is {now}")));
    }
    if let (Some(start), Some(end)) = (start, end)
        && start > end
    {
        return Err(Misuse::new(format!("--start {start} is after --end {end}")));
    }
    Ok(())
}

/// The name of a run: a folder's name, and no way out of the folder that it is in.
pub(super) fn run_id(text: &str) -> Result<String, String> {
    const LONGEST: usize = 64;
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if text.is_empty() || text.len() > LONGEST || !text.chars().all(is_plain) {
        return Err(format!("expected 1 to {LONGEST} letters, digits, dots, underscores and dashes"));
    }
    if text.chars().all(|c| c == '.') {
        return Err("dots alone name no folder of its own".to_owned());
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_id_never_leaves_its_folder() {
        for name in ["20250531T000000Z-1f6a", "a", "A.b_c-9", ".hidden", &"x".repeat(64)] {
            assert_eq!(run_id(name).as_deref(), Ok(name));
        }
        for name in
            ["", ".", "..", "...", "../../evil", "/tmp/evil", "a/b", "a\nb", "a b", "é", &"x".repeat(65)]
        {
            assert!(run_id(name).is_err(), "{name:?}");
        }
    }

    #[test]
    fn days_are_in_order_and_have_begun() {
        let day = |n: i64| Some(Ts(n * 86_400_000));
        let now = Ts(10 * 86_400_000);
        assert!(check_days(day(3), day(3), now).is_ok() && check_days(None, None, now).is_ok());
        assert!(check_days(day(10), None, now).is_ok() && check_days(day(3), day(30), now).is_ok());
        assert!(check_days(day(4), day(3), now).is_err() && check_days(day(11), None, now).is_err());
    }
}

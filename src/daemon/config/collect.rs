//! Which series beside bars are collected: the setting `collect`, read by the table of kinds.

use backtestd_core::market::{Kind, Live};

/// A set of kinds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Collect(u32);

impl Collect {
    /// Every kind that a running daemon can collect beside bars.
    pub fn choices() -> impl Iterator<Item = Kind> {
        Kind::ALL.iter().copied().filter(|kind| !matches!(kind.facts().live, Live::Bars | Live::Never))
    }

    /// What the setting may be, for help and messages.
    pub(super) fn wanted() -> String {
        let names: Vec<&str> = Self::choices().map(Kind::name).collect();
        format!("'all', 'none', or a list out of {}", names.join(", "))
    }

    /// Reads `all`, `none` or names of kinds; `None` for a name that cannot be collected.
    pub(super) fn parse<'a>(names: impl Iterator<Item = &'a str>) -> Option<Self> {
        let mut collect = Self::default();
        for name in names {
            match name {
                "all" => collect = Self::choices().collect(),
                "none" => {}
                name => collect.add(Self::choices().find(|kind| kind.name() == name)?),
            }
        }
        Some(collect)
    }

    fn add(&mut self, kind: Kind) {
        const { assert!(Kind::ALL.len() <= u32::BITS as usize) };
        self.0 |= 1 << kind.index();
    }

    /// Whether a kind is collected.
    #[must_use]
    pub const fn has(self, kind: Kind) -> bool {
        self.0 & (1 << kind.index()) != 0
    }

    /// The kinds, in the order of the table.
    pub fn kinds(self) -> impl Iterator<Item = Kind> {
        Kind::ALL.iter().copied().filter(move |kind| self.has(*kind))
    }
}

impl FromIterator<Kind> for Collect {
    fn from_iter<I: IntoIterator<Item = Kind>>(kinds: I) -> Self {
        let mut collect = Self::default();
        kinds.into_iter().for_each(|kind| collect.add(kind));
        collect
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_table_and_bars_are_no_choice() {
        let parse = |text: &str| Collect::parse(text.split(','));
        let two = parse("open_interest,quotes").unwrap();
        assert_eq!(two.kinds().collect::<Vec<_>>(), [Kind::OpenInterest, Kind::Quotes]);
        assert_eq!(parse("none"), Some(Collect::default()));
        assert!(parse("all").unwrap().has(Kind::Liquidations));
        for refused in ["bars", "depth", "oi", "funding,nonsense"] {
            assert_eq!(parse(refused), None, "{refused}");
        }
    }
}

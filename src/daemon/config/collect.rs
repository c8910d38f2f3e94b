//! Which series beside bars are collected: the setting `collect`, read by the table of kinds.

use backtestd_core::market::{Kind, Live};

/// Not a kind of record: the trades that bars are made of, as a second opinion about klines.
const AGG_TRADES: &str = "agg_trades";
/// Its bit, above those of the kinds.
const AGG_TRADES_BIT: u32 = 1 << 31;

/// A set of kinds, and whether trades are listened to beside them.
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
        format!("'all', 'none', or a list out of {}; and {AGG_TRADES} to check klines", names.join(", "))
    }

    /// Whether bars are built from trades too, and compared.
    #[must_use]
    pub const fn has_agg_trades(self) -> bool {
        self.0 & AGG_TRADES_BIT != 0
    }

    /// Reads `all`, `none` or names of kinds; `None` for a name that cannot be collected.
    pub(super) fn parse<'a>(names: impl Iterator<Item = &'a str>) -> Option<Self> {
        let mut collect = Self::default();
        for name in names {
            match name {
                "all" => Self::choices().for_each(|kind| collect.add(kind)),
                "none" => {}
                AGG_TRADES => collect.0 |= AGG_TRADES_BIT,
                name => collect.add(Self::choices().find(|kind| kind.name() == name)?),
            }
        }
        Some(collect)
    }

    fn add(&mut self, kind: Kind) {
        const { assert!(Kind::ALL.len() < u32::BITS as usize) };
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
        let with_trades = parse("funding,agg_trades").unwrap();
        assert!(with_trades.has_agg_trades() && with_trades.kinds().eq([Kind::Funding]));
        assert!(
            !parse("all").unwrap().has_agg_trades(),
            "thousands of frames a second are asked for by name"
        );
        for refused in ["bars", "depth", "oi", "funding,nonsense"] {
            assert_eq!(parse(refused), None, "{refused}");
        }
    }
}

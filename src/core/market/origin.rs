//! Where records come from, and whose word weighs more.

/// Where a record came from, the least trusted first. Which of two values stands is decided by
/// [`Origin::rank`] and, within a rank, by what the deliveries say of themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// A parquet or csv table of other provenance.
    Table,
    /// The websocket stream.
    Stream,
    /// A file of the public archive that does not say which span it covers.
    Archive,
    /// A monthly file of the public archive.
    ArchiveMonthly,
    /// A daily file of the public archive.
    ArchiveDaily,
    /// A REST answer.
    Rest,
}

/// How much the word of an origin weighs: a lower rank never overwrites a higher one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rank {
    /// A table that anybody may have made.
    Anybody,
    /// What the exchange sent while it happened.
    Heard,
    /// What the exchange has on record: REST answers and the archive.
    Recorded,
}

impl Origin {
    /// Every origin, the least trusted first.
    pub const ALL: [Self; 6] =
        [Self::Table, Self::Stream, Self::Archive, Self::ArchiveMonthly, Self::ArchiveDaily, Self::Rest];

    /// How much its word weighs.
    #[must_use]
    pub const fn rank(self) -> Rank {
        match self {
            Self::Table => Rank::Anybody,
            Self::Stream => Rank::Heard,
            Self::Archive | Self::ArchiveMonthly | Self::ArchiveDaily | Self::Rest => Rank::Recorded,
        }
    }

    /// Whether the exchange's own record has confirmed what comes from there.
    #[must_use]
    pub const fn is_confirmed(self) -> bool {
        matches!(self.rank(), Rank::Recorded)
    }

    /// Name in the lake's `source` column.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Table => "table",
            Self::Stream => "stream",
            Self::Archive => "archive",
            Self::ArchiveMonthly => "archive_monthly",
            Self::ArchiveDaily => "archive_daily",
            Self::Rest => "rest",
        }
    }

    /// The origin of a name in the lake's `source` column; `None` for a word that is none.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|origin| origin.name() == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trust_never_falls_in_the_order_of_the_list_and_names_are_read_back() {
        assert!(Origin::ALL.is_sorted_by(|a, b| a < b && a.rank() <= b.rank()));
        assert!(Origin::ALL.into_iter().all(|o| Origin::from_name(o.name()) == Some(o)));
        assert_eq!(Origin::from_name("binance"), None);
        assert!(Origin::Rest.is_confirmed() && !Origin::Stream.is_confirmed());
    }
}

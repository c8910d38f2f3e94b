//! Where records come from.

/// Where a record came from: provenance, not part of the digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// A file of the public archive.
    Archive,
    /// A REST answer.
    Rest,
    /// The websocket stream.
    Stream,
    /// A parquet or csv table of other provenance.
    Table,
}

impl Origin {
    pub(super) const fn code(self) -> u8 {
        match self {
            Self::Archive => 1,
            Self::Rest => 2,
            Self::Stream => 3,
            Self::Table => 4,
        }
    }

    pub(super) const fn from_code(code: u8) -> Option<Self> {
        match code {
            1 => Some(Self::Archive),
            2 => Some(Self::Rest),
            3 => Some(Self::Stream),
            4 => Some(Self::Table),
            _ => None,
        }
    }

    /// Name in the lake's `source` column.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Archive => "archive",
            Self::Rest => "rest",
            Self::Stream => "stream",
            Self::Table => "table",
        }
    }
}

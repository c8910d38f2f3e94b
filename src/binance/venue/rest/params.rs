//! Query parameters, checked as the venue checks them.

use std::collections::BTreeMap;

use crate::venue::state::Venue;
use backtestd_lab::sim::{Interval, Range, Series};

use super::error::ApiError;

/// The query of a request.
#[derive(Clone, Debug, Default)]
pub(crate) struct Params(pub(crate) BTreeMap<String, String>);

impl Params {
    /// A parameter that is there and not empty.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|text| !text.is_empty())
    }

    /// A non-negative integer.
    pub(crate) fn number(&self, name: &'static str) -> Result<Option<i64>, ApiError> {
        let Some(text) = self.text(name) else { return Ok(None) };
        text.parse::<u64>()
            .ok()
            .and_then(|n| i64::try_from(n).ok())
            .map(Some)
            .ok_or(ApiError::IllegalCharacters(name))
    }

    /// A listed symbol; `name` is `symbol` or `pair`.
    pub(crate) fn symbol(&self, venue: &Venue, name: &'static str) -> Result<usize, ApiError> {
        let text = self.text(name).ok_or(ApiError::MissingParameter(name))?;
        if text.chars().any(|c| !(c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '&'))) {
            return Err(ApiError::IllegalCharacters(name));
        }
        venue.symbol(text).ok_or(ApiError::InvalidSymbol)
    }

    /// A pair that trades at the spot market.
    pub(crate) fn spot_symbol(&self, venue: &Venue) -> Result<usize, ApiError> {
        let symbol = self.symbol(venue, "symbol")?;
        if venue.has_spot(symbol) { Ok(symbol) } else { Err(ApiError::InvalidSymbol) }
    }

    /// The symbol of a market.
    pub(crate) fn symbol_of(&self, venue: &Venue, series: Series) -> Result<usize, ApiError> {
        if series == Series::Spot { self.spot_symbol(venue) } else { self.symbol(venue, "symbol") }
    }

    /// A listed symbol, or none given.
    pub(crate) fn optional_symbol(&self, venue: &Venue) -> Result<Option<usize>, ApiError> {
        self.text("symbol").map(|text| venue.symbol(text).ok_or(ApiError::InvalidSymbol)).transpose()
    }

    /// A kline interval.
    pub(crate) fn interval(&self) -> Result<Interval, ApiError> {
        let text = self.text("interval").ok_or(ApiError::MissingParameter("interval"))?;
        Interval::parse(text).ok_or(ApiError::InvalidInterval)
    }

    /// startTime, endTime and limit. `too_many` says what happens to a limit above the maximum.
    pub(crate) fn range(&self, default: usize, maximum: usize, too_many: TooMany) -> Result<Range, ApiError> {
        let (start, end) = (self.number("startTime")?, self.number("endTime")?);
        if let (Some(start), Some(end)) = (start, end)
            && start > end
        {
            return Err(ApiError::StartAfterEnd);
        }
        let limit = match self.number("limit")? {
            None => default,
            Some(0) => return Err(ApiError::InvalidParameter("limit")),
            Some(n) => {
                let n = usize::try_from(n).unwrap_or(usize::MAX);
                match too_many {
                    _ if n <= maximum => n,
                    TooMany::Clamp => maximum,
                    TooMany::Refuse => return Err(ApiError::InvalidParameter("limit")),
                }
            }
        };
        Ok(Range { start, end, limit })
    }
}

/// What happens to a limit above the maximum: futures refuse, spot answers with the maximum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TooMany {
    Refuse,
    Clamp,
}

//! One position per edge: which of several blueprints that trade the same moves does trade.

use serde::{Deserialize, Serialize};

/// A blueprint's place in a group of blueprints whose trades overlap.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OverlapGroup {
    /// Id of the group, `og_` and the digits of its primary.
    pub id: String,
    /// Whether this blueprint trades for the group.
    pub role: OverlapRole,
    /// Id of the blueprint that trades for the group.
    pub primary: String,
    /// The other blueprints of the group, by id.
    pub members: Vec<String>,
    /// Share of trades that this blueprint and the primary have in common, of whichever has fewer; null for
    /// the primary, and where one of the two was not simulated by the run and the rules alone say that one
    /// holds the other.
    pub share: Option<f64>,
}

/// Whether a blueprint of a group trades.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OverlapRole {
    /// It trades for the group.
    Primary,
    /// It is named with its own evidence and opens no position unless a consumer asks for it.
    Member,
}

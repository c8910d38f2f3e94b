//! `spec/calendars/*.yaml`: trading sessions with their holidays, and scheduled releases.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The calendar files of a spec directory.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Calendars {
    /// Trading sessions: `sessions.yaml`.
    pub sessions: SessionsFile,
    /// Dates without a session: `holidays.yaml`.
    pub holidays: HolidaysFile,
    /// Scheduled releases: `macro.yaml`.
    pub releases: MacroFile,
}

/// Trading sessions by name: `sessions.yaml`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SessionsFile {
    /// Version of this file's layout; 1.
    pub schema_version: u32,
    /// Sessions by name (`tokyo`).
    pub sessions: BTreeMap<String, Session>,
}

/// A market's trading day in its local time, Monday to Friday.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Session {
    /// IANA time zone; daylight saving follows from it.
    pub time_zone: String,
    /// Name of the list in `holidays.yaml`.
    pub holidays: String,
    /// Opening hours, each from its date on, ascending.
    pub hours: Vec<SessionHours>,
}

/// Opening hours from a date on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SessionHours {
    /// First local date (`YYYY-MM-DD`) they hold; absent in the first entry.
    #[serde(default)]
    pub from: Option<String>,
    /// Local time of the open, `HH:MM`.
    pub open: String,
    /// Local time of the close, `HH:MM`.
    pub close: String,
}

/// `holidays.yaml`: local dates (`YYYY-MM-DD`) on which a market does not open at all.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HolidaysFile {
    /// Version of this file's layout; 1.
    pub schema_version: u32,
    /// Dates by market.
    pub holidays: BTreeMap<String, Vec<String>>,
}

/// Scheduled releases: `macro.yaml`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MacroFile {
    /// Version of this file's layout; 1.
    pub schema_version: u32,
    /// Scheduled releases, ascending by instant.
    pub releases: Vec<Release>,
}

/// A scheduled release.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Release {
    /// What is released.
    pub name: String,
    /// When, RFC 3339 UTC.
    pub at: String,
    /// Since when the date was known, RFC 3339 UTC or a date: before that the entry does not exist.
    pub announced: String,
}

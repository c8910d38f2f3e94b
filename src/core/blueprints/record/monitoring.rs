//! What the days since publication say, and the status that follows.

use serde::{Deserialize, Serialize};

use super::Status;

/// Life since publication, over closed days that the evidence had not seen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Monitoring {
    /// First day, `YYYY-MM-DD`.
    pub since: String,
    /// Last day, `YYYY-MM-DD`.
    pub closed_through: String,
    /// UTC days with at least one event, since publication.
    pub active_days: u64,
    /// Events since publication, on closed days.
    pub n_events: u64,
    /// Mean before costs, bps, in the traded direction.
    pub mean_bps: Option<f64>,
    /// Mean after costs, bps.
    pub after_cost_bps: Option<f64>,
    /// The claim, bps before costs.
    pub claim_gross_bps: f64,
    /// What must be left of it: the larger of the cost and half the claim.
    pub floor_bps: f64,
    /// Fresh e-value after costs.
    pub e_value: f64,
    /// Its largest value.
    pub e_sup: f64,
    /// The day on which it confirmed the blueprint live.
    pub confirmed_on: Option<String>,
    /// Detector of a mean below the floor.
    pub detector: f64,
    /// Its largest value.
    pub detector_max: f64,
    /// The day of the suspension.
    pub suspended_on: Option<String>,
    /// The day of the retirement.
    pub retired_on: Option<String>,
}

impl Monitoring {
    /// The status that follows.
    #[must_use]
    pub const fn status(&self) -> Status {
        match (&self.retired_on, &self.suspended_on) {
            (Some(_), _) => Status::Retired,
            (None, Some(_)) => Status::Watch,
            (None, None) => Status::Active,
        }
    }

    /// Why the status is not `active`.
    #[must_use]
    pub fn reason(&self) -> Option<String> {
        let (what, on) = match (&self.retired_on, &self.suspended_on) {
            (Some(on), _) => ("retired", on),
            (None, Some(on)) => ("suspended", on),
            (None, None) => return None,
        };
        Some(format!(
            "monitoring: {what} on {on}: the detector of a mean below {} bps reached {} over {} active days since {}",
            self.floor_bps, self.detector_max, self.active_days, self.since
        ))
    }
}

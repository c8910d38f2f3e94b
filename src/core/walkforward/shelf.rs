//! The versions of a walk in memory: the same differences as the published directory's, without the
//! directory.

use std::collections::BTreeMap;

use super::life::{Step, Walker};
use super::record::PointInTime;
use crate::blueprints::{Departed, Diff, diff, lives_of};
use crate::spec::gates::MonitoringSpec;

/// Versions in the order of their publication.
#[derive(Clone, Debug, Default)]
pub(super) struct Shelf {
    versions: Vec<PointInTime>,
    departed: BTreeMap<String, Departed>,
}

impl Shelf {
    /// Publishes a step if it changes anything, or if it is the first. Returns how it differs from the
    /// version before.
    pub(super) fn publish(&mut self, step: &Step, walker: &Walker<'_>, spec: &MonitoringSpec) -> Diff {
        let (catalogue, book) = walker.evidence();
        let current = self.versions.last().map_or(&[][..], |v| &v.blueprints);
        let lives = lives_of(current, catalogue, book, spec);
        let compiled = &step.conclusions.compiled;
        let version = format!("v{:06}", self.versions.len() + 1);
        let next = diff(
            &version,
            current,
            &self.departed,
            &compiled.blueprints,
            &compiled.verdicts,
            &lives,
            &compiled.overlap,
        );
        if self.versions.is_empty() || next.is_change() {
            let blueprints = next.blueprints.clone();
            self.departed.clone_from(&next.departed);
            self.versions.push(PointInTime { version, published_at: step.published_at, blueprints });
        }
        next
    }

    /// The versions so far.
    #[must_use]
    pub(super) fn versions(&self) -> &[PointInTime] {
        &self.versions
    }
}

//! What a run said, event by event and state by state, in a form that two runs can be compared in.

use std::collections::BTreeMap;

use backtestd_core::graph::{Detection, EngineOutput};
use backtestd_core::market::BarIndex;
use sha2::{Digest, Sha256};

use crate::shipped::shipped;

/// Everything a run said.
#[derive(Default)]
pub(crate) struct Trace {
    /// Onsets per symbol, in order of (bar, event).
    pub detections: Vec<Vec<Detection>>,
    /// Per symbol: (event, onset, exit).
    pub ends: Vec<Vec<(u16, BarIndex, BarIndex)>>,
    /// Per symbol and event: rows on which `when` was known.
    pub known_rows: Vec<Vec<u64>>,
    /// Per symbol and state.
    pub states: Vec<Vec<Vec<f64>>>,
}

impl Trace {
    /// What the next push said.
    pub(crate) fn add(&mut self, out: EngineOutput) {
        if self.detections.is_empty() {
            let n = out.symbols.len();
            self.detections = vec![Vec::new(); n];
            self.ends = vec![Vec::new(); n];
            self.known_rows = vec![vec![0; shipped().events.len()]; n];
            self.states = vec![vec![Vec::new(); shipped().states.len()]; n];
        }
        for (s, symbol) in out.symbols.into_iter().enumerate() {
            self.detections[s].extend(symbol.detections);
            self.ends[s].extend(symbol.episode_ends.iter().map(|e| (e.event.0, e.onset, e.exit)));
            for (sum, rows) in self.known_rows[s].iter_mut().zip(symbol.known_rows) {
                *sum += rows;
            }
            for (all, rows) in self.states[s].iter_mut().zip(symbol.states.iter()) {
                all.extend(rows);
            }
        }
    }

    /// Per event and state a fingerprint of all that was said before `end`, bit for bit.
    pub(crate) fn fingerprints(&self, end: BarIndex, rows: usize) -> BTreeMap<String, [u8; 32]> {
        let spec = shipped();
        let mut out = BTreeMap::new();
        for (ix, meta) in spec.events.iter().enumerate() {
            let mut hash = Sha256::new();
            for (detections, ends) in self.detections.iter().zip(&self.ends) {
                for d in detections.iter().filter(|d| usize::from(d.event.0) == ix && d.bar < end) {
                    hash.update(d.bar.0.to_le_bytes());
                    hash.update(d.direction.to_le_bytes());
                    for value in [d.severity].iter().chain(&d.snapshot) {
                        hash.update(value.to_bits().to_le_bytes());
                    }
                }
                for (_, onset, exit) in ends.iter().filter(|e| usize::from(e.0) == ix && e.2 < end) {
                    hash.update(onset.0.to_le_bytes());
                    hash.update(exit.0.to_le_bytes());
                }
            }
            out.insert(meta.event_type.clone(), hash.finalize().into());
        }
        for (ix, meta) in spec.states.iter().enumerate() {
            let mut hash = Sha256::new();
            for states in &self.states {
                for value in &states[ix][..rows] {
                    hash.update([if value.is_nan() { 2 } else { *value as u8 }]);
                }
            }
            out.insert(meta.id.clone(), hash.finalize().into());
        }
        out
    }

    /// Onsets of an event over all symbols: (symbol, bar).
    pub(crate) fn onsets(&self, event: usize) -> Vec<(usize, BarIndex)> {
        let of = |(s, all): (usize, &Vec<Detection>)| {
            all.iter().filter(|d| usize::from(d.event.0) == event).map(|d| (s, d.bar)).collect::<Vec<_>>()
        };
        self.detections.iter().enumerate().flat_map(of).collect()
    }
}

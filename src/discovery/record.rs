//! An evidence book as records, one per closed day: what is kept across restarts. A record holds the day's sums, not
//! the state of the processes; putting the days back one after another is the same arithmetic in the same order, and
//! leaves the same bits.
//!
//! ```text
//! record   counts: used u64 | purged u64 | dropped u64 | undirected u64, then units that saw a row, ascending:
//!          unit u32 | n u32 | purged u32 | dropped u32, and where n > 0
//!          sum f64 | squares f64 | cost f64 | z f64 | z_cost f64 | weight f64                     (all little-endian)
//! link     SHA-256 of the link before | day i64 | record: equal links, equal histories. The first link before is
//!          SHA-256 of the book's identity (its catalogue, its specs and its stand-in scale).
//! ```

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

use super::catalogue::Catalogue;
use super::evidence::{DaySum, EvidenceBook, RowCounts};

/// A closed day of a book.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DayRecord {
    /// UTC day since the epoch.
    pub day: i64,
    /// Link of the chain after this day.
    pub link: [u8; 32],
    /// The record.
    pub bytes: Vec<u8>,
}

/// A day of one unit.
#[derive(Clone, Copy, Default)]
struct UnitDay {
    sum: Option<DaySum>,
    purged: u32,
    dropped: u32,
}

impl EvidenceBook {
    /// Remembers from now on what [`EvidenceBook::take_records`] needs.
    #[must_use]
    pub fn recorded(mut self) -> Self {
        self.is_recorded = true;
        self
    }

    /// The link that stands before the first day.
    #[must_use]
    pub fn first_link(&self) -> [u8; 32] {
        let text = format!("book/2 {} {} {}", self.catalogue_hash, self.spec_hash, self.default_sigma_bar());
        Sha256::digest(text).into()
    }

    /// Records of the days after `after` (`before` is the link at it) through the last one taken, a day without events
    /// included. Forgets the left-out rows: each day can be recorded once.
    pub fn take_records(&mut self, catalogue: &Catalogue, after: i64, before: [u8; 32]) -> Vec<DayRecord> {
        let Some(through) = self.through_day else { return Vec::new() };
        let mut days: BTreeMap<i64, (RowCounts, BTreeMap<u32, UnitDay>)> = (after + 1..=through)
            .map(|day| (day, (self.tallies.get(&day).copied().unwrap_or_default(), BTreeMap::new())))
            .collect();
        for (block, place) in self.blocks.iter_mut().zip(&catalogue.blocks) {
            let number = |local: usize| u32::try_from(place.first_unit + local).unwrap_or(u32::MAX);
            for (local, unit) in block.units.iter().enumerate() {
                for sum in unit.days.iter().rev().take_while(|d| i64::from(d.day) > after) {
                    if let Some((_, units)) = days.get_mut(&i64::from(sum.day)) {
                        units.entry(number(local)).or_default().sum = Some(*sum);
                    }
                }
            }
            for row in std::mem::take(&mut block.left_out) {
                if let Some((_, units)) = days.get_mut(&i64::from(row.day)) {
                    let unit = units.entry(number(row.unit as usize)).or_default();
                    if row.is_purged {
                        unit.purged += 1;
                    } else {
                        unit.dropped += 1;
                    }
                }
            }
        }
        let mut link = before;
        let records = days.into_iter().map(|(day, (counts, units))| {
            let bytes = encode(counts, &units);
            link = next_link(&link, day, &bytes);
            DayRecord { day, link, bytes }
        });
        records.collect()
    }

    /// Puts recorded days back, in order, onto an empty book. Returns how many fit: from the first record whose link is
    /// wrong, that does not follow its predecessor or does not fit the catalogue, nothing is taken.
    pub fn restore(&mut self, catalogue: &Catalogue, records: &[DayRecord]) -> usize {
        let fit = self.put_back_records(catalogue, records);
        self.catch_up();
        fit
    }

    fn put_back_records(&mut self, catalogue: &Catalogue, records: &[DayRecord]) -> usize {
        let mut link = self.first_link();
        for (at, record) in records.iter().enumerate() {
            let follows = self.through_day.is_none_or(|day| day + 1 == record.day);
            let Some((counts, units)) = decode(record).filter(|(_, units)| {
                follows && units.iter().all(|(unit, _)| (*unit as usize) < catalogue.units)
            }) else {
                return at;
            };
            link = next_link(&link, record.day, &record.bytes);
            if link != record.link {
                return at;
            }
            let mut block = 0;
            for (unit, day) in units {
                let unit = unit as usize;
                while catalogue.blocks.get(block + 1).is_some_and(|next| next.first_unit <= unit) {
                    block += 1;
                }
                let local = unit - catalogue.blocks[block].first_unit;
                self.put_back(block, local, day.sum, (day.purged, day.dropped));
            }
            if counts != RowCounts::default() {
                self.tallies.insert(record.day, counts);
            }
            self.through_day = Some(record.day);
        }
        records.len()
    }
}

fn next_link(before: &[u8; 32], day: i64, bytes: &[u8]) -> [u8; 32] {
    let mut sha = Sha256::new();
    sha.update(before);
    sha.update(day.to_le_bytes());
    sha.update(bytes);
    sha.finalize().into()
}

fn encode(counts: RowCounts, units: &BTreeMap<u32, UnitDay>) -> Vec<u8> {
    let mut out = Vec::with_capacity(32 + units.len() * 64);
    for count in [counts.used, counts.purged, counts.dropped, counts.undirected] {
        out.extend_from_slice(&count.to_le_bytes());
    }
    for (unit, day) in units {
        let n = day.sum.map_or(0, |s| s.n);
        for word in [*unit, n, day.purged, day.dropped] {
            out.extend_from_slice(&word.to_le_bytes());
        }
        if let Some(s) = day.sum {
            for x in [s.sum, s.squares, s.cost, s.z, s.z_cost, s.weight] {
                out.extend_from_slice(&x.to_le_bytes());
            }
        }
    }
    out
}

fn decode(record: &DayRecord) -> Option<(RowCounts, Vec<(u32, UnitDay)>)> {
    let mut bytes = record.bytes.as_slice();
    let day = i32::try_from(record.day).ok()?;
    let counts = RowCounts {
        used: take_u64(&mut bytes)?,
        purged: take_u64(&mut bytes)?,
        dropped: take_u64(&mut bytes)?,
        undirected: take_u64(&mut bytes)?,
    };
    let mut units: Vec<(u32, UnitDay)> = Vec::new();
    while !bytes.is_empty() {
        let [unit, n, purged, dropped] =
            [take_u32(&mut bytes)?, take_u32(&mut bytes)?, take_u32(&mut bytes)?, take_u32(&mut bytes)?];
        if units.last().is_some_and(|(last, _)| *last >= unit) {
            return None;
        }
        let sum = if n > 0 {
            let mut f64s = [0.0; 6];
            for x in &mut f64s {
                *x = f64::from_bits(take_u64(&mut bytes)?);
            }
            let [sum, squares, cost, z, z_cost, weight] = f64s;
            Some(DaySum { day, n, sum, squares, cost, z, z_cost, weight })
        } else {
            None
        };
        units.push((unit, UnitDay { sum, purged, dropped }));
    }
    Some((counts, units))
}

fn take_u64(bytes: &mut &[u8]) -> Option<u64> {
    let (head, rest) = bytes.split_first_chunk::<8>()?;
    *bytes = rest;
    Some(u64::from_le_bytes(*head))
}

fn take_u32(bytes: &mut &[u8]) -> Option<u32> {
    let (head, rest) = bytes.split_first_chunk::<4>()?;
    *bytes = rest;
    Some(u32::from_le_bytes(*head))
}

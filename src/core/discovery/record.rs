//! An evidence book as records, one per closed day: what is kept across restarts. A record holds the day's
//! rows, not what was made of them; putting the rows back is the same arithmetic in the same order, and
//! leaves the same bits.
//!
//! ```text
//! record   rows, block after block: block u32 | symbol u16 | fate u8 | pool u8 | conditions u64, and of a row that is
//!          used signed_return f64 | cost f64 | inv_scale f64                                    (all little-endian)
//! link     SHA-256 of the link before | day i64 | record: equal links, equal histories. The first link before is
//!          SHA-256 of the book's identity (its catalogue, its specs and its stand-in scale).
//! ```

use sha2::{Digest, Sha256};

use super::evidence::{BookRow, EvidenceBook, Fate};

/// A closed day of a book.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DayRecord {
    /// UTC day since the epoch.
    pub day: i64,
    /// Link of the chain after this day.
    pub link: [u8; 32],
    /// The day's rows, encoded as the module describes.
    pub bytes: Vec<u8>,
}

impl EvidenceBook {
    /// The link that stands before the first day.
    #[must_use]
    pub fn first_link(&self) -> [u8; 32] {
        let text = format!("book/5 {} {} {}", self.catalogue_hash, self.spec_hash, self.default_sigma_bar());
        Sha256::digest(text).into()
    }

    /// Records of the days after `after` (`before` is the link at it) through the last one taken, a day
    /// without rows included.
    #[must_use]
    pub fn records(&self, after: i64, before: [u8; 32]) -> Vec<DayRecord> {
        let Some(through) = self.through_day else { return Vec::new() };
        let mut next: Vec<&[BookRow]> = self
            .blocks
            .iter()
            .map(|block| &block.rows[block.rows.partition_point(|row| i64::from(row.day) <= after)..])
            .collect();
        let mut link = before;
        let records = (after + 1..=through).map(|day| {
            let mut bytes = Vec::new();
            for (block, rows) in (0..).zip(&mut next) {
                let today;
                (today, *rows) = rows.split_at(rows.partition_point(|row| i64::from(row.day) <= day));
                today.iter().for_each(|row| encode(block, row, &mut bytes));
            }
            link = next_link(&link, day, &bytes);
            DayRecord { day, link, bytes }
        });
        records.collect()
    }

    /// Puts recorded days back, in order, onto an empty book. Returns how many fit: from the first record
    /// whose link is wrong, that does not follow its predecessor or does not fit the catalogue, nothing is
    /// taken.
    pub fn restore(&mut self, records: &[DayRecord]) -> usize {
        let fit = self.put_back(records);
        self.catch_up();
        fit
    }

    fn put_back(&mut self, records: &[DayRecord]) -> usize {
        let mut link = self.first_link();
        for (at, record) in records.iter().enumerate() {
            let follows = self.through_day.is_none_or(|day| day + 1 == record.day);
            link = next_link(&link, record.day, &record.bytes);
            let rows = decode(record).filter(|rows| {
                let fits =
                    |(block, row): &(usize, BookRow)| self.blocks.get(*block).is_some_and(|b| b.fits(row));
                follows && link == record.link && rows.iter().all(fits)
            });
            let Some(rows) = rows else { return at };
            rows.into_iter().for_each(|(block, row)| self.blocks[block].rows.push(row));
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

fn encode(block: u32, row: &BookRow, out: &mut Vec<u8>) {
    out.extend_from_slice(&block.to_le_bytes());
    out.extend_from_slice(&row.symbol.to_le_bytes());
    out.extend_from_slice(&[row.fate as u8, row.pool]);
    out.extend_from_slice(&row.conditions.to_le_bytes());
    if row.fate.is_used() {
        for x in [row.signed_return, row.cost, row.inv_scale] {
            out.extend_from_slice(&x.to_le_bytes());
        }
    }
}

/// The rows with the number of their block.
fn decode(record: &DayRecord) -> Option<Vec<(usize, BookRow)>> {
    let mut bytes = record.bytes.as_slice();
    let day = i32::try_from(record.day).ok()?;
    let mut rows = Vec::with_capacity(bytes.len() / 40);
    while !bytes.is_empty() {
        let block = u32::from_le_bytes(take(&mut bytes)?) as usize;
        let symbol = u16::from_le_bytes(take(&mut bytes)?);
        let [number, pool] = take(&mut bytes)?;
        let fate = Fate::ALL.into_iter().find(|fate| *fate as u8 == number)?;
        let conditions = u64::from_le_bytes(take(&mut bytes)?);
        let mut known = [0.0; 3];
        if fate.is_used() {
            for x in &mut known {
                *x = f64::from_le_bytes(take(&mut bytes)?);
            }
        }
        let [signed_return, cost, inv_scale] = known;
        rows.push((block, BookRow { day, symbol, fate, pool, signed_return, cost, inv_scale, conditions }));
    }
    Some(rows)
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (head, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(*head)
}

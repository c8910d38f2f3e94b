//! Bytes of a joiner's state.
//!
//! ```text
//! version u32 | next bar i64 | kinds u32, each code u8 | symbols u32 | per symbol: name (u32 length, bytes), funding,
//! then each of the kinds, as an as-of:
//! held u8 (0, 1) [record] | pending u32, each a record                              all little-endian
//! record: ts i64, f64 of each column; of funding rate, hours of the interval, hours since the print before
//! then the first 8 bytes of the SHA-256 of everything before
//! ```
use sha2::{Digest, Sha256};

use super::CleanError;
use super::asof::AsOf;
use super::joiner::{CHECKPOINT_VERSION, Joiner, Print, State};
use crate::market::{BarIndex, Columns, Kind, MAX_COLUMNS, Ts};

/// Columns of funding: those of [`Print`].
const PRINT_COLUMNS: usize = 3;

/// The codes of the kinds that a joiner holds beside funding.
fn codes(joiner: &Joiner) -> Vec<u8> {
    joiner.kinds().map(|kind| kind.facts().code).collect()
}

pub(super) fn write(joiner: &Joiner) -> Vec<u8> {
    let mut out = CHECKPOINT_VERSION.to_le_bytes().to_vec();
    out.extend_from_slice(&joiner.next.0.to_le_bytes());
    let codes = codes(joiner);
    push_len(&mut out, codes.len());
    out.extend_from_slice(&codes);
    push_len(&mut out, joiner.symbols.len());
    for (symbol, state) in joiner.symbols.iter().zip(&joiner.states) {
        push_len(&mut out, symbol.as_str().len());
        out.extend_from_slice(symbol.as_str().as_bytes());
        push_asof(&mut out, &state.funding, |p| [p.rate, p.hours, p.spacing_h]);
        for (kind, as_of) in &state.instants {
            push_asof(&mut out, as_of, |columns| columns.iter().copied().take(kind.columns().len()));
        }
    }
    let sum = Sha256::digest(&out);
    out.extend_from_slice(&sum[..8]);
    out
}

fn push_len(out: &mut Vec<u8>, len: usize) {
    out.extend_from_slice(&u32::try_from(len).unwrap_or(u32::MAX).to_le_bytes());
}

fn push_asof<'a, K, V: IntoIterator<Item = f64>>(
    out: &mut Vec<u8>,
    asof: &'a AsOf<K>,
    values: impl Fn(&'a K) -> V,
) {
    let record = |out: &mut Vec<u8>, (ts, k): &'a (Ts, K)| {
        out.extend_from_slice(&ts.0.to_le_bytes());
        for v in values(k) {
            out.extend_from_slice(&v.to_le_bytes());
        }
    };
    out.push(u8::from(asof.held.is_some()));
    if let Some(held) = &asof.held {
        record(out, held);
    }
    push_len(out, asof.pending.len());
    for pending in &asof.pending {
        record(out, pending);
    }
}

pub(super) fn read(joiner: &mut Joiner, bytes: &[u8]) -> Result<(), CleanError> {
    let bad = CleanError::Checkpoint;
    let split = bytes.len().checked_sub(8).ok_or(bad("too short"))?;
    let (body, sum) = bytes.split_at(split);
    if Sha256::digest(body)[..8] != *sum {
        return Err(bad("the checksum does not fit"));
    }
    let mut r = Reader(body);
    if r.u32()? != CHECKPOINT_VERSION {
        return Err(bad("another version"));
    }
    let next = BarIndex(r.i64()?);
    let kinds = r.u32()? as usize;
    if r.bytes(kinds)? != codes(joiner) {
        return Err(bad("other kinds of records"));
    }
    if r.u32()? as usize != joiner.symbols.len() {
        return Err(bad("another number of symbols"));
    }
    let mut states = Vec::new();
    for symbol in &joiner.symbols {
        let len = r.u32()? as usize;
        if r.bytes(len)? != symbol.as_str().as_bytes() {
            return Err(bad("other symbols"));
        }
        let funding = r.asof(PRINT_COLUMNS, |c| Print { rate: c[0], hours: c[1], spacing_h: c[2] })?;
        let instant = |kind: Kind| Ok((kind, r.asof(kind.columns().len(), |c| c)?));
        states.push(State { funding, instants: joiner.kinds().map(instant).collect::<Result<_, _>>()? });
    }
    if !r.0.is_empty() {
        return Err(bad("bytes are left over"));
    }
    joiner.next = next;
    joiner.states = states;
    Ok(())
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn bytes(&mut self, n: usize) -> Result<&'a [u8], CleanError> {
        let (head, tail) = self.0.split_at_checked(n).ok_or(CleanError::Checkpoint("cut short"))?;
        self.0 = tail;
        Ok(head)
    }
    fn array<const N: usize>(&mut self) -> Result<[u8; N], CleanError> {
        self.bytes(N)?.try_into().map_err(|_| CleanError::Checkpoint("cut short"))
    }
    fn u32(&mut self) -> Result<u32, CleanError> {
        Ok(u32::from_le_bytes(self.array()?))
    }
    fn i64(&mut self) -> Result<i64, CleanError> {
        Ok(i64::from_le_bytes(self.array()?))
    }
    fn record(&mut self, width: usize) -> Result<(Ts, Columns), CleanError> {
        let ts = Ts(self.i64()?);
        let mut columns = [f64::NAN; MAX_COLUMNS];
        for column in columns.iter_mut().take(width) {
            *column = f64::from_le_bytes(self.array()?);
        }
        Ok((ts, columns))
    }
    fn asof<K>(&mut self, width: usize, make: impl Fn(Columns) -> K) -> Result<AsOf<K>, CleanError> {
        let next = |r: &mut Self| r.record(width).map(|(ts, columns)| (ts, make(columns)));
        let held = if self.bytes(1)?[0] == 1 { Some(next(self)?) } else { None };
        let n = self.u32()?;
        let pending = (0..n).map(|_| next(self)).collect::<Result<_, _>>()?;
        Ok(AsOf { held, pending })
    }
}

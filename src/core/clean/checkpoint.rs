//! Bytes of a joiner's state.
//!
//! ```text
//! version u32 | next bar i64 | symbols u32 | per symbol: name (u32 length, bytes), funding, open interest, depth
//! as-of: held u8 (0, 1) [record] | pending u32, each a record                       all little-endian
//! record: ts i64, 3 x f64 (funding) or 2 x f64
//! then the first 8 bytes of the SHA-256 of everything before
//! ```
use sha2::{Digest, Sha256};

use super::CleanError;
use super::asof::AsOf;
use super::joiner::{CHECKPOINT_VERSION, Joiner, Print, State};
use crate::market::{BarIndex, Ts};

pub(super) fn write(joiner: &Joiner) -> Vec<u8> {
    let mut out = CHECKPOINT_VERSION.to_le_bytes().to_vec();
    out.extend_from_slice(&joiner.next.0.to_le_bytes());
    push_len(&mut out, joiner.symbols.len());
    for (symbol, state) in joiner.symbols.iter().zip(&joiner.states) {
        push_len(&mut out, symbol.as_str().len());
        out.extend_from_slice(symbol.as_str().as_bytes());
        push_asof(&mut out, &state.funding, |p| [p.rate, p.hours, p.spacing_h]);
        push_asof(&mut out, &state.open_interest, |v| v);
        push_asof(&mut out, &state.depth, |v| v);
    }
    let sum = Sha256::digest(&out);
    out.extend_from_slice(&sum[..8]);
    out
}

fn push_len(out: &mut Vec<u8>, len: usize) {
    out.extend_from_slice(&u32::try_from(len).unwrap_or(u32::MAX).to_le_bytes());
}

fn push_asof<K: Copy, const N: usize>(out: &mut Vec<u8>, asof: &AsOf<K>, values: impl Fn(K) -> [f64; N]) {
    let record = |out: &mut Vec<u8>, (ts, k): &(Ts, K)| {
        out.extend_from_slice(&ts.0.to_le_bytes());
        for v in values(*k) {
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
    if r.u32()? as usize != joiner.symbols.len() {
        return Err(bad("another number of symbols"));
    }
    let mut states = Vec::new();
    for symbol in &joiner.symbols {
        let len = r.u32()? as usize;
        if r.bytes(len)? != symbol.as_str().as_bytes() {
            return Err(bad("other symbols"));
        }
        states.push(State {
            funding: r.asof(|[rate, hours, spacing_h]| Print { rate, hours, spacing_h })?,
            open_interest: r.asof(|v: [f64; 2]| v)?,
            depth: r.asof(|v: [f64; 2]| v)?,
        });
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
    fn record<const N: usize>(&mut self) -> Result<(Ts, [f64; N]), CleanError> {
        let ts = Ts(self.i64()?);
        let mut values = [f64::NAN; N];
        for value in &mut values {
            *value = f64::from_le_bytes(self.array()?);
        }
        Ok((ts, values))
    }
    fn asof<K, const N: usize>(&mut self, make: impl Fn([f64; N]) -> K) -> Result<AsOf<K>, CleanError> {
        let next = |r: &mut Self| r.record().map(|(ts, v)| (ts, make(v)));
        let held = if self.bytes(1)?[0] == 1 { Some(next(self)?) } else { None };
        let n = self.u32()?;
        let pending = (0..n).map(|_| next(self)).collect::<Result<_, _>>()?;
        Ok(AsOf { held, pending })
    }
}

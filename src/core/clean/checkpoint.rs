//! Bytes of a joiner's state: a version (u32, little-endian), [`Frame`] in postcard, and the first 8 bytes of
//! the SHA-256 of everything before.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::CleanError;
use super::asof::AsOf;
use super::joiner::{CHECKPOINT_VERSION, Joiner, Print, State};
use crate::market::{BarIndex, Columns, Symbol};

const VERSION_BYTES: usize = 4;
const SUM_BYTES: usize = 8;

/// What a joiner remembers between blocks.
#[derive(Serialize, Deserialize)]
struct Frame {
    next: BarIndex,
    /// The codes of the kinds that it holds beside funding, in their order.
    kinds: Vec<u8>,
    symbols: Vec<SymbolFrame>,
}

/// The state of one symbol.
#[derive(Serialize, Deserialize)]
struct SymbolFrame {
    name: Symbol,
    funding: AsOf<Print>,
    /// Those of the kinds, in the frame's order.
    instants: Vec<AsOf<Columns>>,
}

/// The codes of the kinds that a joiner holds beside funding.
fn codes(joiner: &Joiner) -> Vec<u8> {
    joiner.kinds().map(|kind| kind.facts().code).collect()
}

pub(super) fn write(joiner: &Joiner) -> Result<Vec<u8>, CleanError> {
    let symbols = joiner.symbols.iter().zip(&joiner.states);
    let frame = Frame {
        next: joiner.next,
        kinds: codes(joiner),
        symbols: symbols
            .map(|(name, state)| SymbolFrame {
                name: name.clone(),
                funding: state.funding.clone(),
                instants: state.instants.values().cloned().collect(),
            })
            .collect(),
    };
    let head = CHECKPOINT_VERSION.to_le_bytes().to_vec();
    let mut out =
        postcard::to_extend(&frame, head).map_err(|_| CleanError::Checkpoint("it cannot be encoded"))?;
    let sum = Sha256::digest(&out);
    out.extend_from_slice(&sum[..SUM_BYTES]);
    Ok(out)
}

pub(super) fn read(joiner: &mut Joiner, bytes: &[u8]) -> Result<(), CleanError> {
    let bad = CleanError::Checkpoint;
    let (body, sum) = bytes.split_last_chunk::<SUM_BYTES>().ok_or(bad("too short"))?;
    if Sha256::digest(body)[..SUM_BYTES] != *sum {
        return Err(bad("the checksum does not fit"));
    }
    let (version, body) = body.split_first_chunk::<VERSION_BYTES>().ok_or(bad("too short"))?;
    if u32::from_le_bytes(*version) != CHECKPOINT_VERSION {
        return Err(bad("another version"));
    }
    let (frame, rest): (Frame, _) = postcard::take_from_bytes(body).map_err(|_| bad("cut short"))?;
    if !rest.is_empty() {
        return Err(bad("bytes are left over"));
    }
    if frame.kinds != codes(joiner) {
        return Err(bad("other kinds of records"));
    }
    if frame.symbols.len() != joiner.symbols.len() {
        return Err(bad("another number of symbols"));
    }
    let mut states = Vec::with_capacity(frame.symbols.len());
    for (symbol, of) in joiner.symbols.iter().zip(frame.symbols) {
        if of.name != *symbol {
            return Err(bad("other symbols"));
        }
        if of.instants.len() != frame.kinds.len() {
            return Err(bad("another number of kinds"));
        }
        states.push(State { funding: of.funding, instants: joiner.kinds().zip(of.instants).collect() });
    }
    joiner.next = frame.next;
    joiner.states = states;
    Ok(())
}

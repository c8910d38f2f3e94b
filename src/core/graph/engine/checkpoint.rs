//! The engine's state as bytes.
//!
//! ```text
//! magic      8  "BTDGRAPH"
//! version    4  u32 little-endian = 3
//! graph     32  sha256 of the graph's nodes and event parameters (names excluded)
//! then values in postcard:
//! first, next  the first bar ever and the next bar
//! symbols      their names
//! for each symbol, in that order:
//!   missing    for each event, the index of the first column that it lacks, if any
//!   ticks      for each clock, the ticks seen
//!   history    for each node with a look-back, in plan order: its values, oldest first (the newest
//!              min(look-back, rows or ticks seen) values; earlier ones are unknown)
//!   state      for each stateful operator, in plan order: its own fields (`save` of the operator)
//! checksum  32  sha256 of everything before
//! ```
//! Windowed operators' structures are not stored: they are derived from the history again.
//!
//! **Invariant:** an engine restored from `checkpoint()` continues bit for bit as the one that wrote it.

use crate::market::hex;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::plan::Plan;
use super::symbol::SymbolState;
use super::{Engine, EngineOptions};
use crate::graph::Graph;
use crate::graph::ops::bytes::{Malformed, Reader, Writer};
use crate::market::{BarIndex, Source, Symbol};

const MAGIC: &[u8; 8] = b"BTDGRAPH";
const VERSION: u32 = 3;
/// Bytes before the values.
const HEAD: usize = MAGIC.len() + 4 + SUM;
const SUM: usize = 32;

/// Bytes that cannot be restored.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointError {
    /// Another kind of file.
    #[error("this is not an engine checkpoint (it starts with {found:?}): replay from the store instead")]
    NotACheckpoint {
        /// Its first bytes.
        found: String,
    },
    /// Written by another version of the program.
    #[error(
        "the checkpoint has format version {found}, this program reads {VERSION}: replay from the store instead"
    )]
    Version {
        /// The version of the checkpoint.
        found: u32,
    },
    /// The checksum does not match.
    #[error(
        "the checkpoint's checksum does not match its {length} bytes: it is damaged; use an older one or replay"
    )]
    Damaged {
        /// How many bytes were given.
        length: usize,
    },
    /// Specs changed in between.
    #[error(
        "the checkpoint was written by graph {found}, the current specs compile to {expected}: replay from the store"
    )]
    OtherGraph {
        /// The current graph's fingerprint.
        expected: String,
        /// The fingerprint that the checkpoint names.
        found: String,
    },
    /// The symbol list changed in between.
    #[error("the checkpoint holds symbols [{found}], the engine runs [{expected}]: replay from the store")]
    OtherSymbols {
        /// The symbols that the engine runs.
        expected: String,
        /// The symbols that the checkpoint names.
        found: String,
    },
    /// Valid checksum, impossible content.
    #[error(transparent)]
    Content(#[from] Malformed),
    /// A part of the state has no bytes.
    #[error("the engine's state cannot be encoded: {0}")]
    Encode(#[from] postcard::Error),
}

impl Engine {
    /// The whole state after the last push.
    ///
    /// # Errors
    /// When a value cannot be encoded ([`Writer::put`]).
    pub fn checkpoint(&self) -> Result<Vec<u8>, CheckpointError> {
        let mut head = Vec::with_capacity(HEAD);
        head.extend_from_slice(MAGIC);
        head.extend_from_slice(&VERSION.to_le_bytes());
        head.extend_from_slice(&fingerprint(&self.graph));
        let mut w = Writer::after(head);
        w.put(&(self.first, self.next))?;
        w.put(&self.symbols().iter().collect::<Vec<_>>())?;
        let rows = (self.next - self.first).unsigned_abs();
        for state in &self.symbols {
            save_symbol(state, &self.plan, rows, &mut w)?;
        }
        let mut bytes = w.finish();
        let sum = Sha256::digest(&bytes);
        bytes.extend_from_slice(&sum);
        Ok(bytes)
    }

    /// An engine that continues where `bytes` were written.
    ///
    /// # Errors
    /// When the bytes are damaged, or belong to another graph, symbol list or format.
    pub fn restore(
        graph: Arc<Graph>,
        symbols: &[Symbol],
        bytes: &[u8],
        opts: EngineOptions,
    ) -> Result<Self, CheckpointError> {
        let body = verified(bytes)?;
        let too_short = CheckpointError::Damaged { length: bytes.len() };
        let (head, values) = body.split_at_checked(HEAD).ok_or(too_short)?;
        let found = &head[HEAD - SUM..];
        let expected = fingerprint(&graph);
        if found != expected {
            return Err(CheckpointError::OtherGraph { expected: hex(&expected), found: hex(found) });
        }
        let mut r = Reader::new(values);
        let (first, next) = r.take::<(BarIndex, BarIndex)>()?;
        check_symbols(symbols, &mut r)?;
        let mut engine = Self::new(graph, symbols, first, opts);
        engine.next = next;
        for state in &mut engine.symbols {
            load_symbol(state, &engine.plan, next, &mut r)?;
        }
        r.finish()?;
        Ok(engine)
    }
}

/// The bytes without the checksum, if they are an intact checkpoint of this version.
fn verified(bytes: &[u8]) -> Result<&[u8], CheckpointError> {
    let head = &bytes[..bytes.len().min(MAGIC.len())];
    if head != MAGIC {
        return Err(CheckpointError::NotACheckpoint { found: String::from_utf8_lossy(head).into_owned() });
    }
    let damaged = CheckpointError::Damaged { length: bytes.len() };
    let Some(version) = bytes[MAGIC.len()..].first_chunk() else { return Err(damaged) };
    let found = u32::from_le_bytes(*version);
    if found != VERSION {
        return Err(CheckpointError::Version { found });
    }
    let Some((body, sum)) = bytes.split_last_chunk::<SUM>() else { return Err(damaged) };
    if Sha256::digest(body).as_slice() == sum { Ok(body) } else { Err(damaged) }
}

fn check_symbols(symbols: &[Symbol], r: &mut Reader<'_>) -> Result<(), CheckpointError> {
    let found: Vec<&str> = r.take()?;
    let expected: Vec<&str> = symbols.iter().map(Symbol::as_str).collect();
    if found == expected {
        return Ok(());
    }
    Err(CheckpointError::OtherSymbols { expected: expected.join(" "), found: found.join(" ") })
}

fn save_symbol(state: &SymbolState, plan: &Plan, rows: u64, w: &mut Writer) -> Result<(), postcard::Error> {
    for missing in &state.missing {
        w.put(&missing.map(Source::index))?;
    }
    for ticks in &state.ticks {
        w.put(ticks)?;
    }
    for planned in &plan.histories {
        w.put(state.values.history(planned.place).past(state.known_rows(planned, rows)))?;
    }
    for kernel in &state.kernels {
        kernel.save(w)?;
    }
    Ok(())
}

fn load_symbol(
    state: &mut SymbolState,
    plan: &Plan,
    next: BarIndex,
    r: &mut Reader<'_>,
) -> Result<(), CheckpointError> {
    for missing in &mut state.missing {
        *missing = match r.take::<Option<usize>>()? {
            None => None,
            Some(index) => Some(*Source::ALL.get(index).ok_or_else(|| r.malformed())?),
        };
    }
    for ticks in &mut state.ticks {
        *ticks = r.take()?;
    }
    for planned in &plan.histories {
        let values: Vec<f64> = r.take()?;
        if values.len() > planned.keep {
            return Err(r.malformed().into());
        }
        state.values.restore(planned.place, &values);
    }
    for kernel in &mut state.kernels {
        kernel.load(r)?;
    }
    state.rebuild(plan, next);
    Ok(())
}

fn fingerprint(graph: &Graph) -> [u8; SUM] {
    let mut hash = Sha256::new();
    for node in &graph.nodes {
        hash.update(format!("{:?} {:?} {:?}\n", node.op, node.inputs, node.clock));
    }
    for e in &graph.events {
        let line = format!(
            "{:?} {:?} {} {:?} {} {} {:?}\n",
            e.detect, e.onset, e.spacing_bars, e.max_bars, e.has_exit, e.undirected, e.needs
        );
        hash.update(line);
    }
    hash.finalize().into()
}

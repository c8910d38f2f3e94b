//! The engine's state as bytes.
//!
//! ```text
//! magic      8  "BTDGRAPH"
//! version    4  u32 = 2
//! graph     32  sha256 of the graph's nodes and event parameters (names excluded)
//! first      8  i64 first bar ever
//! next       8  i64 next bar
//! symbols    4  u32 count, then each name: u32 length, UTF-8
//! per symbol, in that order:
//!   missing  per event: u8 0 or 1 + index of the first column that it lacks
//!   ticks    per clock: u64
//!   history  per node with a look-back, in plan order: u32 count, then f64 oldest first (the newest
//!            min(look-back, rows or ticks seen) values; earlier ones are unknown)
//!   state    per stateful operator, in plan order: its own fields (`save` of the operator)
//! checksum  32  sha256 of everything before
//! ```
//! All integers and floats are little-endian. Windowed operators' structures are not stored: they are derived from
//! the history again.
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
const VERSION: u32 = 2;
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
}

impl Engine {
    /// The whole state after the last push.
    #[must_use]
    pub fn checkpoint(&self) -> Vec<u8> {
        let mut w = Writer::default();
        w.bytes.extend_from_slice(MAGIC);
        w.u32(VERSION);
        w.bytes.extend_from_slice(&fingerprint(&self.graph));
        w.i64(self.first.0);
        w.i64(self.next.0);
        w.u32(self.symbols.len() as u32);
        for name in self.symbols() {
            w.text(name.as_str());
        }
        let rows = (self.next - self.first).unsigned_abs();
        for state in &self.symbols {
            save_symbol(state, &self.plan, rows, &mut w);
        }
        let sum = Sha256::digest(&w.bytes);
        w.bytes.extend_from_slice(&sum);
        w.bytes
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
        let mut r = Reader::new(body);
        r.take(MAGIC.len() + 4)?;
        let found = r.take(SUM)?;
        let expected = fingerprint(&graph);
        if found != expected {
            return Err(CheckpointError::OtherGraph { expected: hex(&expected), found: hex(found) });
        }
        let (first, next) = (BarIndex(r.i64()?), BarIndex(r.i64()?));
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
    let mut r = Reader::new(&bytes[MAGIC.len()..]);
    let version = r.u32()?;
    if version != VERSION {
        return Err(CheckpointError::Version { found: version });
    }
    let damaged = CheckpointError::Damaged { length: bytes.len() };
    let Some((body, sum)) = bytes.split_last_chunk::<SUM>() else { return Err(damaged) };
    if Sha256::digest(body).as_slice() == sum { Ok(body) } else { Err(damaged) }
}

fn check_symbols(symbols: &[Symbol], r: &mut Reader<'_>) -> Result<(), CheckpointError> {
    let count = r.u32()?;
    let mut found = Vec::new();
    for _ in 0..count {
        found.push(r.text()?);
    }
    let expected: Vec<&str> = symbols.iter().map(Symbol::as_str).collect();
    if found == expected {
        return Ok(());
    }
    Err(CheckpointError::OtherSymbols { expected: expected.join(" "), found: found.join(" ") })
}

fn save_symbol(state: &SymbolState, plan: &Plan, rows: u64, w: &mut Writer) {
    for missing in &state.missing {
        w.u8(missing.map_or(0, |source| source.index() as u8 + 1));
    }
    for ticks in &state.ticks {
        w.u64(*ticks);
    }
    for planned in &plan.histories {
        w.f64s(state.values.history(planned.place).past(state.known_rows(planned, rows)));
    }
    for kernel in &state.kernels {
        kernel.save(w);
    }
}

fn load_symbol(
    state: &mut SymbolState,
    plan: &Plan,
    next: BarIndex,
    r: &mut Reader<'_>,
) -> Result<(), CheckpointError> {
    for missing in &mut state.missing {
        *missing = match r.u8()? {
            0 => None,
            n => Some(*Source::ALL.get(usize::from(n) - 1).ok_or_else(|| r.malformed())?),
        };
    }
    for ticks in &mut state.ticks {
        *ticks = r.u64()?;
    }
    for planned in &plan.histories {
        let values = r.f64s()?;
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

//! Export to a NautilusTrader catalog, written with Arrow alone.
//!
//! The layout is the one that NautilusTrader 1.x reads (1.221 to 1.231): `data/bar/<BAR_TYPE>/<first>_<last>.parquet`,
//! prices and quantities as 128-bit little-endian integers of value x 10^16 in fixed 16-byte binaries, times as unsigned
//! nanoseconds. A bar is named by its close boundary. Gaps are absent rows: NautilusTrader has no unknown bar.
//! Instruments are written by the consumer, whose schema for them differs by version.

mod bars;
mod fixed;

pub use bars::{BarExport, ExportError, write_bars};
pub use fixed::{FixedError, decimals, to_fixed};

//! What to run research over, and the run's name.

use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use backtestd_core::conclude::PlaceboRequest;
use backtestd_core::discovery::{Accounting, Exclusion};
use backtestd_core::market::{BarIndex, Symbol, hex};
use backtestd_core::spec::CompiledSpec;

/// One batch run.
#[derive(Clone, Debug)]
pub struct Request {
    /// The specs that the run is made under.
    pub spec: Arc<CompiledSpec>,
    /// Symbols to report on, in name order. The leaders are computed too where the store has them.
    pub symbols: Vec<Symbol>,
    /// First bar of the report. Earlier bars of the store are used to warm up.
    pub first: BarIndex,
    /// First bar after the report.
    pub end: BarIndex,
    /// Name of the run; `None`: [`run_id`].
    pub run_id: Option<String>,
    /// Where the lake, events and reports go.
    pub data_root: PathBuf,
    /// Whether the survivors become a new version of `blueprints/`.
    pub publish: bool,
    /// Null twins of the run to compute beside it.
    pub placebo: PlaceboRequest,
    /// Whether the features are written to the lake.
    pub write_features: bool,
    /// Whether stages whose inputs have not changed are taken from the cache below the data root.
    pub stage_cache: bool,
}

impl Request {
    /// A run over these bars that publishes nothing, writes no features, and is not compared with anything.
    #[must_use]
    pub fn plain(
        spec: &Arc<CompiledSpec>,
        symbols: Vec<Symbol>,
        bars: Range<BarIndex>,
        data_root: PathBuf,
    ) -> Self {
        Self {
            spec: Arc::clone(spec),
            symbols,
            first: bars.start,
            end: bars.end,
            run_id: None,
            data_root,
            publish: false,
            placebo: PlaceboRequest::default(),
            write_features: false,
            stage_cache: false,
        }
    }

    /// The given name, or the derived one.
    #[must_use]
    pub fn run_id(&self, looks: &[&Accounting], excluded: &[Exclusion], data: &[u8]) -> String {
        let derived = || run_id(&self.spec.hash, &self.symbols, self.first, self.end, looks, excluded, data);
        self.run_id.clone().unwrap_or_else(derived)
    }
}

/// `<data watermark>-<8 hex>`: the same data, specs and code give the same name, so running twice writes the
/// same bytes to the same place; other data, another one. `data` is a digest of what the numbers are computed
/// from.
#[must_use]
pub fn run_id(
    spec_hash: &str,
    symbols: &[Symbol],
    first: BarIndex,
    end: BarIndex,
    looks: &[&Accounting],
    excluded: &[Exclusion],
    data: &[u8],
) -> String {
    let mut hash = Sha256::new();
    hash.update(spec_hash);
    for symbol in symbols {
        hash.update([0]);
        hash.update(symbol.as_str());
    }
    hash.update(first.0.to_le_bytes());
    hash.update(end.0.to_le_bytes());
    // Trials that came later share the error budget in other ways: another look.
    for cohort in looks.iter().flat_map(|accounting| &accounting.cohorts) {
        hash.update((cohort.units as u64).to_le_bytes());
    }
    for x in excluded {
        hash.update(format!("{} {} {}", x.event_type, x.scope, x.metric));
    }
    hash.update(data);
    hash.update(crate::CODE_VERSION);
    let digest = hash.finalize();
    format!("{}-{}", end.open().compact_seconds(), hex(&digest[..4]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_is_the_watermark_and_a_fingerprint_of_the_inputs() {
        let symbols = [Symbol::new("BTCUSDT").unwrap()];
        let end = backtestd_core::market::parse_time("2026-03-01T12:00:00Z").unwrap().bar();
        let accounting = Accounting::default();
        let run_id =
            |hash: &str, data: &[u8]| run_id(hash, &symbols, BarIndex(0), end, &[&accounting], &[], data);
        let name = run_id("sha256:a", &[1]);
        assert!(name.starts_with("20260301T120000Z-") && name.len() == 25, "{name}");
        assert_eq!(name, run_id("sha256:a", &[1]));
        assert_ne!(name, run_id("sha256:b", &[1]));
        assert_ne!(name, run_id("sha256:a", &[2]));
    }
}

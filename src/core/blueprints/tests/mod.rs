//! The record, its identity and triggers, on a blueprint like the contract's example.

pub(super) mod fixtures;
mod triggers;

use std::sync::Arc;

use super::*;
use crate::market::Symbol;
use crate::outcomes::EntryPrice;

pub(crate) use fixtures::{EXAMPLE, candidate, example, published};

#[test]
fn the_example_of_the_contract_parses_and_prints_itself_sorted() {
    let blueprint: Blueprint = serde_json::from_str(EXAMPLE).unwrap();
    assert_eq!(blueprint.entry.entry_lag_bars, 1);
    let again: Blueprint = serde_json::from_str(&blueprint.line()).unwrap();
    assert_eq!(again, blueprint);
    assert!(
        blueprint
            .line()
            .starts_with(r#"{"bar_type":null,"canonical_family":"VOLATILITY_TRANSITION","condition":"#)
    );
}

#[test]
fn a_number_that_is_read_and_written_again_stays_what_it_was() {
    let mut blueprint = published(1);
    // Read by a fast parser this comes out one bit lower.
    blueprint.publication.as_mut().unwrap().p_any = 1.962_342_324_989_496_2e-5;
    assert_eq!(serde_json::from_str::<Blueprint>(&blueprint.line()).unwrap(), blueprint);
}

#[test]
fn the_id_is_the_hash_of_what_the_rule_is() {
    let blueprint = example();
    let mut same = blueprint.clone();
    same.revision = 9;
    same.evidence.n_events = 1;
    same.entry.cooldown_bars = 3;
    assert_eq!(same.identity(), blueprint.id);
    let mut other = blueprint.clone();
    other.entry.price = EntryPrice::Open;
    assert_ne!(other.identity(), blueprint.id);
    // The text that is hashed, spelled out: any language can check an id.
    let text = r#"{"condition":"vol_regime == 'high'","direction_rule":"fade","entry_lag_bars":1,"entry_price":"close","event_type":"VOL_SHOCK","horizon_bars":12,"symbol_scope_mode":"single_symbol","symbols":["BTCUSDT"]}"#;
    assert_eq!(blueprint.id, format!("bp_{}", &sha256_hex(text.as_bytes())[..16]));
}

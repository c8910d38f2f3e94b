//! The trial ledger: every hypothesis that was ever looked at. Never removed, never overwritten.
//!
//! ```text
//! key    SHA-256 of the definition, 32 bytes
//! value  0   1 byte    version: 1 = a test of the symbol's own return, 2 = of another statistic; 3 and 4 the same with a share
//!        1   4 bytes   cohort, u32 LE, from 1
//!        5   8 bytes   last closed UTC day (since the epoch) of the first look, i64 LE
//!        13  32 bytes  SHA-256 of the catalogue's hash at the first look
//!        45  five texts, each ended by 0x00: family, event type, horizon, condition (empty = none), scope;
//!            in versions 2 and 4 a sixth: the statistic; in versions 3 and 4 then 8 bytes, f64 LE: the share of the cohort
//! ```

use super::{push_text, text_at};
use backtestd_core::discovery::{Trial, TrialKey};
use backtestd_core::spec::TestStatistic;

const OWN_RETURN: u8 = 1;
const OTHER_STATISTIC: u8 = 2;
/// Added to the version of a trial with a share.
const WITH_SHARE: u8 = 2;

pub(in crate::db) fn encode(trial: &Trial) -> Vec<u8> {
    let is_own = trial.statistic == TestStatistic::OwnReturn;
    let shared = if trial.share.is_some() { WITH_SHARE } else { 0 };
    let mut v = vec![shared + if is_own { OWN_RETURN } else { OTHER_STATISTIC }];
    v.extend_from_slice(&trial.cohort.to_le_bytes());
    v.extend_from_slice(&trial.first_look.to_le_bytes());
    v.extend_from_slice(&trial.catalogue);
    for text in [&trial.family, &trial.event_type, &trial.horizon, &trial.condition, &trial.scope] {
        push_text(&mut v, text);
    }
    if !is_own {
        push_text(&mut v, &trial.statistic.to_string());
    }
    v.extend(trial.share.into_iter().flat_map(f64::to_le_bytes));
    v
}

pub(in crate::db) fn decode(key: &[u8], v: &[u8]) -> Option<Trial> {
    let mut at = 45;
    let mut text = || {
        let (text, next) = text_at(v, at)?;
        at = next;
        Some(text.to_owned())
    };
    let (family, event_type, horizon) = (text()?, text()?, text()?);
    let (condition, scope) = (text()?, text()?);
    let version = *v.first()?;
    let has_share = version > WITH_SHARE;
    let statistic = match if has_share { version - WITH_SHARE } else { version } {
        OWN_RETURN => TestStatistic::OwnReturn,
        OTHER_STATISTIC => {
            let name = text()?;
            TestStatistic::ALL.into_iter().find(|statistic| statistic.to_string() == name)?
        }
        _ => return None,
    };
    let share = if has_share { Some(f64::from_le_bytes(v.get(at..at + 8)?.try_into().ok()?)) } else { None };
    Some(Trial {
        key: TrialKey(key.try_into().ok()?),
        cohort: u32::from_le_bytes(v.get(1..5)?.try_into().ok()?),
        first_look: i64::from_le_bytes(v.get(5..13)?.try_into().ok()?),
        catalogue: v.get(13..45)?.try_into().ok()?,
        statistic,
        family,
        event_type,
        horizon,
        condition,
        scope,
        share,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_layout_is_what_the_table_above_says() {
        let trial = Trial {
            key: TrialKey([7; 32]),
            cohort: 2,
            first_look: 20_000,
            catalogue: [9; 32],
            statistic: TestStatistic::OwnReturn,
            family: "F".to_owned(),
            event_type: "E".to_owned(),
            horizon: "5m".to_owned(),
            condition: String::new(),
            scope: "ALL".to_owned(),
            share: None,
        };
        let bytes = encode(&trial);
        let mut golden = vec![1, 2, 0, 0, 0, 0x20, 0x4e, 0, 0, 0, 0, 0, 0];
        golden.extend_from_slice(&[9; 32]);
        golden.extend_from_slice(b"F\0E\x005m\0\0ALL\0");
        assert_eq!(bytes, golden);
        assert_eq!(decode(&[7; 32], &golden), Some(trial.clone()));
        assert_eq!(decode(&[7; 32], &golden[..50]), None, "cut short");
        golden[0] = 2;
        assert_eq!(decode(&[7; 32], &golden), None, "no statistic");
        golden.extend_from_slice(b"variance_ratio\0");
        let other = Trial { statistic: TestStatistic::VarianceRatio, ..trial };
        assert_eq!(encode(&other), golden);
        assert_eq!(decode(&[7; 32], &golden), Some(other.clone()));
        golden[0] = 4;
        assert_eq!(decode(&[7; 32], &golden), None, "no share");
        golden.extend_from_slice(&0.25_f64.to_le_bytes());
        let shared = Trial { share: Some(0.25), ..other };
        assert_eq!(encode(&shared), golden);
        assert_eq!(decode(&[7; 32], &golden), Some(shared));
        golden[0] = 5;
        assert_eq!(decode(&[7; 32], &golden), None, "another version");
    }
}

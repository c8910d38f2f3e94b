//! The trial ledger: every hypothesis that was ever looked at. Never removed, never overwritten.
//!
//! ```text
//! key    SHA-256 of the definition, 32 bytes
//! value  0   1 byte    version: 1, and 1 more for a test of another statistic than the symbol's own return, 2 more with a
//!                      share, 4 more when it has begun
//!        1   4 bytes   cohort, u32 LE, from 1
//!        5   8 bytes   last closed UTC day (since the epoch) of the first look, i64 LE
//!        13  32 bytes  SHA-256 of the catalogue's hash at the first look
//!        45  five texts, each ended by 0x00: family, event type, horizon, condition (empty = none), scope;
//!            of another statistic a sixth: which one. With a share then two f64 LE: the part of the cohort's budget, and
//!            by_order. When it has begun then the UTC day (since the epoch), i64 LE
//! ```

use super::{push_text, text_at};
use backtestd_core::discovery::{Trial, TrialKey};
use backtestd_core::spec::TestStatistic;

/// What the version is more than 1 by.
const OTHER_STATISTIC: u8 = 1;
const WITH_SHARE: u8 = 2;
const BEGUN: u8 = 4;

pub(in crate::db) fn encode(trial: &Trial) -> Vec<u8> {
    let is_own = trial.statistic == TestStatistic::OwnReturn;
    let flags =
        [(!is_own, OTHER_STATISTIC), (trial.share.is_some(), WITH_SHARE), (trial.begun.is_some(), BEGUN)];
    let mut v = vec![1 + flags.iter().filter(|(is, _)| *is).map(|(_, flag)| flag).sum::<u8>()];
    v.extend_from_slice(&trial.cohort.to_le_bytes());
    v.extend_from_slice(&trial.first_look.to_le_bytes());
    v.extend_from_slice(&trial.catalogue);
    for text in [&trial.family, &trial.event_type, &trial.horizon, &trial.condition, &trial.scope] {
        push_text(&mut v, text);
    }
    if !is_own {
        push_text(&mut v, &trial.statistic.to_string());
    }
    if let Some(share) = trial.share {
        v.extend([share, trial.by_order].into_iter().flat_map(f64::to_le_bytes));
    }
    v.extend(trial.begun.into_iter().flat_map(i64::to_le_bytes));
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
    let flags = v.first()?.checked_sub(1).filter(|flags| *flags < 2 * BEGUN)?;
    let statistic = if flags & OTHER_STATISTIC == 0 {
        TestStatistic::OwnReturn
    } else {
        let name = text()?;
        TestStatistic::ALL.into_iter().find(|statistic| statistic.to_string() == name)?
    };
    let mut number = || {
        let bytes: [u8; 8] = v.get(at..at + 8)?.try_into().ok()?;
        at += 8;
        Some(bytes)
    };
    let (mut share, mut by_order, mut begun) = (None, 0.0, None);
    if flags & WITH_SHARE != 0 {
        share = Some(f64::from_le_bytes(number()?));
        by_order = f64::from_le_bytes(number()?);
    }
    if flags & BEGUN != 0 {
        begun = Some(i64::from_le_bytes(number()?));
    }
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
        by_order,
        begun,
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
            by_order: 0.0,
            begun: None,
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
        golden.extend([0.25_f64, 0.5].into_iter().flat_map(f64::to_le_bytes));
        let shared = Trial { share: Some(0.25), by_order: 0.5, ..other };
        assert_eq!(encode(&shared), golden);
        assert_eq!(decode(&[7; 32], &golden), Some(shared.clone()));
        golden[0] = 8;
        assert_eq!(decode(&[7; 32], &golden), None, "no day");
        golden.extend(20_100_i64.to_le_bytes());
        let begun = Trial { begun: Some(20_100), ..shared };
        assert_eq!(encode(&begun), golden);
        assert_eq!(decode(&[7; 32], &golden), Some(begun));
        golden[0] = 9;
        assert_eq!(decode(&[7; 32], &golden), None, "another version");
    }
}

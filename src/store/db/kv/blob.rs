//! Keyspaces whose values are somebody else's bytes.
//!
//! ```text
//! checkpoints   key  time: last bar in it            value  0x01 | bytes of the pipeline (its own version and checksum)
//! evidence      key  time: UTC day                   value  0x01 | link 32 bytes | day record (see discovery::record)
//! signals       key  sequence number u64 BE          value  0x01 | JSON, as it was sent
//! updates       key  sequence number u64 BE          value  0x01 | bytes of a raw update that no tick has taken in yet
//! runs          key  run id                          value  0x01 | JSON
//! arrivals      key  what arrived (an event id, …)   value  0x01 | milliseconds, i64 LE
//! meta          key  "schema", "committed", "rewinds", "replays", or "user/" and a name      value  no version: see their users
//! ```

const VERSION: u8 = 1;

pub(in crate::db) fn wrap(bytes: &[u8]) -> Vec<u8> {
    let mut value = Vec::with_capacity(bytes.len() + 1);
    value.push(VERSION);
    value.extend_from_slice(bytes);
    value
}

pub(in crate::db) fn unwrap(value: &[u8]) -> Option<&[u8]> {
    match value.split_first()? {
        (&VERSION, bytes) => Some(bytes),
        _ => None,
    }
}

pub(in crate::db) fn seq(key: &[u8]) -> Option<u64> {
    Some(u64::from_be_bytes(key.try_into().ok()?))
}

//! What a stage is remembered by: the content of what it read, the code that ran, the files that it wrote.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use backtestd_core::market::hex;

/// Value of `schema` in a stage's record.
pub(super) const STAGE_SCHEMA: &str = "backtestd.stage/1";

/// Name of the input that is the run's name.
pub(super) const RUN: &str = "run";
/// Prefix of the inputs that are earlier stages' keys.
pub(super) const STAGE: &str = "stage/";

/// Hashes of everything that a stage depends on, by name: `log/BTCUSDT`, `spec/gates.yaml`, `stage/pipeline`,
/// …. What is short stands for itself.
pub(super) type Inputs = BTreeMap<String, String>;

/// The program that ran a stage.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Code {
    /// Version and commit of the program.
    pub version: String,
    /// SHA-256 of the program's own file: another build is other code, whatever it calls itself.
    pub build: String,
}

/// A file that a stage wrote.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileHash {
    /// Length of the file.
    pub bytes: u64,
    /// SHA-256 of its bytes.
    pub sha256: String,
}

/// One stage of a run: the record in the run's directory, and the entry in the cache.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StageRecord {
    /// Layout of the record, always `backtestd.stage/1`.
    pub schema: String,
    /// Name of the stage: `bars`, `pipeline`, `tables`, `evidence`, `conclude`, `report`, `placebo`.
    pub stage: String,
    /// Hash of the stage's name, code and inputs: equal keys, equal results.
    pub key: String,
    /// The run that has the record; of a cache entry, the run that computed it.
    pub run_id: String,
    /// Whether the result was taken from the cache.
    pub is_cached: bool,
    /// Why it was computed, or which run it was taken from, in words.
    pub why: String,
    /// Wall time that this run spent on it, ms.
    pub ms: u64,
    /// The program that ran it.
    pub code: Code,
    /// Hashes of what it read.
    pub inputs: BTreeMap<String, String>,
    /// Files that it wrote, by their path below the data root.
    pub outputs: BTreeMap<String, FileHash>,
    /// Its result for later stages, beside the entry in the cache; null where files are all that it leaves.
    pub payload: Option<FileHash>,
}

/// The key of a stage.
pub(super) fn key_of(stage: &str, code: &Code, inputs: &Inputs) -> String {
    let mut sha = Sha256::new();
    let mut put = |text: &str| {
        sha.update((text.len() as u64).to_le_bytes());
        sha.update(text);
    };
    [STAGE_SCHEMA, stage, &code.build].into_iter().for_each(&mut put);
    inputs.iter().flat_map(|(name, hash)| [name, hash]).for_each(|text| put(text));
    hex(&sha.finalize())
}

/// What is different between what a stage depends on now and what it depended on then, in words.
pub(super) fn difference(now: (&Code, &Inputs), then: &StageRecord) -> String {
    const NAMED: usize = 3;
    let (code, inputs) = now;
    let mut names: Vec<String> = Vec::new();
    if code.build != then.code.build {
        names.push(format!("the program ({} then, {} now)", then.code.version, code.version));
    }
    let all = inputs.keys().chain(then.inputs.keys().filter(|name| !inputs.contains_key(*name)));
    let changed: Vec<&String> = all.filter(|name| inputs.get(*name) != then.inputs.get(*name)).collect();
    // An earlier stage and the run's name are other because something else is.
    let is_cause = |name: &str| name != RUN && !name.starts_with(STAGE);
    let causes = changed.iter().filter(|name| is_cause(name)).count() + names.len();
    names.extend(changed.into_iter().filter(|name| causes == 0 || is_cause(name)).cloned());
    let more = names.len().saturating_sub(NAMED);
    names.truncate(NAMED);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{}{more} changed since run {}", names.join(", "), then.run_id)
}

/// How many inputs two stages share: the entry that shares most says best what changed.
pub(super) fn shared(inputs: &Inputs, then: &StageRecord) -> usize {
    inputs.iter().filter(|(name, hash)| then.inputs.get(*name) == Some(hash)).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(inputs: &Inputs, build: &str) -> StageRecord {
        let code = Code { version: "1".to_owned(), build: build.to_owned() };
        StageRecord {
            schema: STAGE_SCHEMA.to_owned(),
            stage: "pipeline".to_owned(),
            key: key_of("pipeline", &code, inputs),
            run_id: "r1".to_owned(),
            is_cached: false,
            why: String::new(),
            ms: 1,
            code,
            inputs: inputs.clone(),
            outputs: BTreeMap::new(),
            payload: None,
        }
    }

    #[test]
    fn a_key_is_of_the_stage_its_code_and_every_input() {
        let inputs = Inputs::from([("a".to_owned(), "1".to_owned()), ("b".to_owned(), "2".to_owned())]);
        let key = |stage: &str, build: &str, inputs: &Inputs| {
            key_of(stage, &Code { version: "1".to_owned(), build: build.to_owned() }, inputs)
        };
        let first = key("pipeline", "x", &inputs);
        assert_eq!(first, key("pipeline", "x", &inputs));
        assert_ne!(first, key("tables", "x", &inputs));
        assert_ne!(first, key("pipeline", "y", &inputs));
        let mut other = inputs;
        other.insert("b".to_owned(), "3".to_owned());
        assert_ne!(first, key("pipeline", "x", &other));
        // Where a name ends and its hash begins counts.
        let moved = Inputs::from([("a1".to_owned(), String::new()), ("b".to_owned(), "2".to_owned())]);
        assert_ne!(first, key("pipeline", "x", &moved));
    }

    #[test]
    fn what_changed_is_named_and_the_rest_is_counted() {
        let inputs: Inputs = (0..6).map(|n| (format!("spec/{n}.yaml"), "then".to_owned())).collect();
        let then = record(&inputs, "x");
        let code = then.code.clone();
        let mut now = inputs.clone();
        now.insert("spec/4.yaml".to_owned(), "now".to_owned());
        assert_eq!(difference((&code, &now), &then), "spec/4.yaml changed since run r1");
        assert_eq!(shared(&now, &then), 5);
        let all: Inputs = inputs.keys().map(|name| (name.clone(), "now".to_owned())).collect();
        let other = Code { version: "2".to_owned(), build: "y".to_owned() };
        assert_eq!(
            difference((&other, &all), &then),
            "the program (1 then, 2 now), spec/0.yaml, spec/1.yaml and 4 more changed since run r1"
        );
        now.insert("stage/bars".to_owned(), "other".to_owned());
        assert_eq!(
            difference((&code, &now), &then),
            "spec/4.yaml changed since run r1",
            "a cause, not what follows"
        );
        now.remove("spec/0.yaml");
        assert_eq!(difference((&code, &now), &then), "spec/4.yaml, spec/0.yaml changed since run r1");
    }
}

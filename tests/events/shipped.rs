//! The shipped specs, compiled once.

use backtestd_store::load_specs;
use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock};

use backtestd_core::graph::{Graph, Program, SeriesDef, compile, expand_macros, names_in};
use backtestd_core::spec::CompiledSpec;

use crate::common::spec_dir;

/// The shipped specs.
pub(crate) fn shipped() -> &'static CompiledSpec {
    static SPEC: OnceLock<CompiledSpec> = OnceLock::new();
    SPEC.get_or_init(|| load_specs(&spec_dir()).unwrap_or_else(|e| panic!("{e}")))
}

/// The graph of some events and what they read, nothing else: the same detectors, cheaper.
pub(crate) fn graph_of(events: &[&str]) -> Arc<Graph> {
    let all = &shipped().program;
    let mut wanted: BTreeSet<String> = events.iter().map(|e| (*e).to_owned()).collect();
    loop {
        let mut more = wanted.clone();
        for event in all.events.iter().filter(|e| e.base.is_none() && wanted.contains(&e.event_type)) {
            let own = [&event.when, &event.direction, &event.severity];
            for def in event.lets.iter().chain(own).chain(&event.exit) {
                more.extend(reads(def, all));
            }
        }
        for def in all.features.iter().filter(|f| wanted.contains(&f.name)) {
            more.extend(reads(def, all));
        }
        if more.len() == wanted.len() {
            break;
        }
        wanted = more;
    }
    let mut part = Program::clone(all);
    part.features.retain(|f| wanted.contains(&f.name));
    part.states.clear();
    part.events.retain(|e| e.base.is_none() && wanted.contains(&e.event_type));
    Arc::new(compile(&part).unwrap_or_else(|e| panic!("{e:?}")))
}

fn reads(def: &SeriesDef, program: &Program) -> Vec<String> {
    let expr = expand_macros(def.expr.as_ref().unwrap(), program);
    names_in(&expr).into_iter().map(str::to_owned).collect()
}

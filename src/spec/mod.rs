//! Specs: YAML files to typed, checked values. Everything that can change a result lives in `spec/` and is covered
//! by the ontology hash; nothing here knows how an expression is evaluated.

pub mod gates;
pub mod strategies;

//! The `backtestd` binary.

fn main() {}

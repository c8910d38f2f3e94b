//! Inside a bar.

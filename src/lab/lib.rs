//! The laboratory: simulated markets whose truth is known, and discovery held against that truth.
//!
//! [`sim`] makes seeded markets; [`calibrate`] lets discovery live through simulated worlds by the code that
//! production runs. Both are functions of their seeds.
#![forbid(unsafe_code)]

pub mod calibrate;
pub mod sim;

//! The HTML report of a run: one file, no script, its own SVG; readable from a disk, a mail or a browser in
//! the dark.
//!
//! Takes plain facts and returns text; who calls it writes the file. The same facts give the same bytes.

mod blueprint_cards;
mod bounded;
mod calibration_chart;
mod calibration_page;
mod charts;
mod document;
mod event_study;
mod evidence;
mod format;
mod lives;
mod measures;
mod page;
mod portfolio;
mod rests;
mod tables;
mod walk_page;

pub use calibration_page::calibration_page;
pub use page::{ReportInput, SymbolFacts, render};
pub use walk_page::{WalkPage, walk_page};

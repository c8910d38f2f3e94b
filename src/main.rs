//! The `backtestd` binary: arguments in, exit code out. Everything else is in the library.

use std::process::ExitCode;

/// Returns what is free to the system after some seconds, on a thread of its own. The C library's allocator would keep
/// the tens of megabytes that a backfill or a checkpoint needs for a moment in every thread's arena.
#[cfg(all(target_os = "linux", feature = "jemalloc"))]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    backtestd::cli::main()
}

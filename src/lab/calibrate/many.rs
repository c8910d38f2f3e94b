//! Many runs, in parallel, with the same results whatever the number of threads.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A thread pool that could not be started.
#[derive(Debug, thiserror::Error)]
#[error("cannot start {jobs} worker threads: {reason}; try fewer --jobs")]
pub struct JobsError {
    jobs: usize,
    reason: String,
}

/// Calls `work(i)` for `i` in `0..n` on `jobs` threads and returns the results by `i`; `done` hears of each
/// one finished.
///
/// Every worker has a pool of one thread for the parallel iterators inside, so that a worker that waits never
/// picks up a second world: memory stays at one world a job.
///
/// # Errors
/// When the threads cannot be started.
pub fn many<T: Send>(
    n: usize,
    jobs: usize,
    work: &(dyn Fn(usize) -> T + Sync),
    done: &(dyn Fn() + Sync),
) -> Result<Vec<T>, JobsError> {
    let jobs = jobs.clamp(1, n.max(1));
    let pools = (0..jobs)
        .map(|_| rayon::ThreadPoolBuilder::new().num_threads(1).build())
        .collect::<Result<Vec<_>, _>>()
        .map_err(|e| JobsError { jobs, reason: e.to_string() })?;
    let next = AtomicUsize::new(0);
    let results: Mutex<Vec<(usize, T)>> = Mutex::new(Vec::with_capacity(n));
    std::thread::scope(|scope| {
        for pool in &pools {
            scope.spawn(|| {
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    if at >= n {
                        break;
                    }
                    let result = pool.install(|| work(at));
                    results.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push((at, result));
                    done();
                }
            });
        }
    });
    let mut results = results.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    results.sort_by_key(|(at, _)| *at);
    Ok(results.into_iter().map(|(_, result)| result).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_in_order_whatever_the_number_of_threads() {
        let square = |i: usize| i * i;
        let expected: Vec<usize> = (0..50).map(square).collect();
        for jobs in [1, 3, 99] {
            assert_eq!(many(50, jobs, &square, &|| ()).unwrap(), expected);
        }
        assert!(many(0, 4, &square, &|| ()).unwrap().is_empty());
    }
}

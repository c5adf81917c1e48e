//! Sharing out rows among threads.

use std::num::NonZeroUsize;

/// Fewest rows that are worth a thread of their own.
const ROWS_PER_THREAD: usize = 4_096;

/// Number of threads that `n_jobs` stands for, as in scikit-learn: none is 1, −1 all processors, −2
/// all but one. `Err` for 0, which stands for nothing.
pub(crate) fn of_jobs(n_jobs: Option<i64>) -> Result<NonZeroUsize, String> {
    let processors = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    match n_jobs {
        None => Ok(NonZeroUsize::MIN),
        Some(0) => Err("`n_jobs` must not be 0: pass -1 for all processors".to_owned()),
        Some(jobs) if jobs < 0 => {
            let left_free = usize::try_from(-(jobs + 1)).unwrap_or(usize::MAX);
            let threads = processors.get().saturating_sub(left_free);
            Ok(NonZeroUsize::new(threads).unwrap_or(NonZeroUsize::MIN))
        }
        Some(jobs) => {
            let threads = usize::try_from(jobs).unwrap_or(usize::MAX);
            Ok(NonZeroUsize::new(threads).unwrap_or(NonZeroUsize::MIN))
        }
    }
}

/// Calls `score` with parts of `rows` and the scores that belong to them, on up to `threads`
/// threads. Rows lie side by side, `width` values each.
pub(crate) fn share_out(
    rows: &[f32],
    width: usize,
    scores: &mut [f32],
    threads: NonZeroUsize,
    score: impl Fn(&[f32], &mut [f32]) + Sync,
) {
    let useful = scores.len().div_ceil(ROWS_PER_THREAD).max(1);
    let threads = threads.get().min(useful);
    if threads == 1 {
        return score(rows, scores);
    }
    let part = scores.len().div_ceil(threads);
    std::thread::scope(|scope| {
        for (rows, scores) in rows.chunks(part * width).zip(scores.chunks_mut(part)) {
            let score = &score;
            scope.spawn(move || score(rows, scores));
        }
    });
}

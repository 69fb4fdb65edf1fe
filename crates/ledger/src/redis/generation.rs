//! How much a run knows, and how much of it this process has seen.
//!
//! A run's *generation* grows with every change of its deliveries. Each script is told the
//! highest one that was seen here: where the run knows less, the store was put back, flushed
//! or failed over without its latest writes, and the script doubts the store before it grants
//! anything (`lua/prelude.lua`). A run that is fenced is being merged already, and is taken as
//! it is from then on.

use domain::RunId;

use super::Redis;

impl Redis {
    /// What a script is told; empty when nothing was seen yet.
    pub(super) fn seen(&self, run: &RunId) -> String {
        let seen = self.with_cache(|cache| cache.generations.get(run).copied());
        seen.map(|seen| seen.to_string()).unwrap_or_default()
    }

    /// Notes what a script answered.
    pub(super) fn saw(&self, run: &RunId, generation: &str, fenced: bool) {
        let Ok(generation) = generation.parse::<u64>() else { return };
        self.with_cache(|cache| {
            let seen = cache.generations.entry(run.clone()).or_default();
            *seen = if fenced { generation } else { generation.max(*seen) };
        });
    }
}

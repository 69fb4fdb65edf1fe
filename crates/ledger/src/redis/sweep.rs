//! Sweeps: what time ends is looked for, each record takes its step, and is swapped.

use std::collections::HashMap;
use std::time::Duration;

use domain::{RunId, Timestamp};
use redis::AsyncCommands;

use super::{Found, Redis, failed, swap};
use crate::api::{Ledger, Run, Swept};
use crate::core::{must_end_waiting, note};
use crate::error::{LedgerError, Result};
use crate::record::Record;
use crate::transition::{self, Witness};

impl Redis {
    pub(super) async fn sweep_some(&self, id: &RunId, limit: usize) -> Result<Swept> {
        let found = self.run_script("sweep run", id, "read", "").await?;
        let Found { run, fenced, .. } = found.ok_or_else(|| LedgerError::NoRun(id.clone()))?;
        let found = self.due_for_sweep(&run, limit).await?;
        let mut swept = Swept { more: found.len() >= limit, ..Swept::default() };
        if found.is_empty() {
            return Ok(swept);
        }
        let witnesses = self.witnesses(id).await?;
        let resends_max = run.header.policy.evidence.resends_max(run.total());
        for index in found {
            let delivery = domain::DeliveryId { run: id.clone(), index };
            let step = |record: &mut Record, assumed: &Run, now: Timestamp| {
                let resends = run.resends.max(assumed.resends);
                let run = Run { resends, ..run.clone() };
                let witness = witnesses.get(&record.lane).copied().unwrap_or_default();
                let did = transition::sweep(record, &run, now, witness, fenced);
                let resends_max = did.written_off.then_some(resends_max);
                let guards = swap::Guards { resends_max, ..Default::default() };
                if did.changed() { swap::Step::Put(did, guards) } else { swap::Step::Keep(did) }
            };
            if let Some(did) = self.update(&delivery, swap::Fence::Ignored, step).await? {
                note(&mut swept, did);
            }
        }
        Ok(swept)
    }

    async fn witnesses(&self, id: &RunId) -> Result<HashMap<u16, Witness>> {
        let mut con = self.con();
        let found: HashMap<String, i64> = con
            .hgetall(self.keys.witnesses(id))
            .await
            .map_err(|e| failed("look for evidence", e))?;
        let mut witnesses: HashMap<u16, Witness> = HashMap::new();
        for (field, value) in found {
            let (lane, is_slow) = match field.strip_suffix(":slow") {
                Some(lane) => (lane, true),
                None => (field.as_str(), false),
            };
            let Ok(lane) = lane.parse() else { continue };
            let witness = witnesses.entry(lane).or_default();
            match is_slow {
                true => witness.slow = Duration::from_micros(value.max(0).unsigned_abs()),
                false => witness.sent_at = Some(Timestamp::from_micros(value)),
            }
        }
        Ok(witnesses)
    }

    async fn due_for_sweep(&self, run: &Run, limit: usize) -> Result<Vec<u32>> {
        let id = &run.header.id;
        let mut con = self.con();
        let now = self.now().await?;
        let sweep = |e| failed("sweep run", e);
        let limit = isize::try_from(limit).unwrap_or(isize::MAX);
        let mut found: Vec<u32> = con
            .zrangebyscore_limit(self.keys.look(id), "-inf", now.micros(), 0, limit)
            .await
            .map_err(sweep)?;
        if must_end_waiting(run, now) {
            for lane in 0..run.header.lanes.len() {
                let lane = u16::try_from(lane).unwrap_or(u16::MAX);
                let room = limit - isize::try_from(found.len()).unwrap_or(limit);
                if room > 0 {
                    let more: Vec<u32> =
                        con.zrange(self.keys.due(id, lane), 0, room - 1).await.map_err(sweep)?;
                    found.extend(more);
                }
            }
        }
        Ok(found)
    }
}

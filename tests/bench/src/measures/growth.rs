//! How cost grows with the number of recipients: planning time, memory, disk, Redis bytes.

use anyhow::Result;
use tests::redis_server::RedisServer;

use super::Size;
use super::enqueue::{memory, plan};
use crate::contender::DURABLE;
use crate::sample::Samples;
use crate::subah::tcp;

pub fn run(size: Size, samples: &Samples) -> Result<()> {
    let sizes: &[u32] =
        size.pick(&[500, 1_000], &[2_000, 20_000, 200_000], &[2_000, 20_000, 200_000, 1_000_000]);
    for n in sizes {
        let rounds = size.pick(1, 2, 5);
        for round in 0..rounds {
            let case = n.to_string();
            let at = ("growth", case.as_str());
            let each = |value: f64| value / f64::from(*n);
            let dir = tempfile::tempdir()?;
            let planned = plan(None, dir.path(), *n)?;
            let disk = std::fs::metadata(dir.path().join("ledger.db"))?.len() as f64;
            let values = [
                ("plan_us_each", each(planned.seconds * 1e6)),
                ("memory_bytes_each", each(planned.peak_mib * 1024.0 * 1024.0)),
                ("store_bytes_each", each(disk)),
            ];
            samples.add(at, "subah, sqlite", round, &values)?;

            let server = RedisServer::start_on_port(&DURABLE);
            let before = memory(&server, "used_memory:")?;
            let dir = tempfile::tempdir()?;
            let planned = plan(Some(&tcp(&server)), dir.path(), *n)?;
            let values = [
                ("plan_us_each", each(planned.seconds * 1e6)),
                ("memory_bytes_each", each(planned.peak_mib * 1024.0 * 1024.0)),
                ("store_bytes_each", each(memory(&server, "used_memory:")? - before)),
            ];
            samples.add(at, "subah, redis", round, &values)?;
        }
    }
    Ok(())
}

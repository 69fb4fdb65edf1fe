//! The store is away while everything falls due: how long until the backlog is gone.

use std::time::Duration;

use anyhow::Result;
use domain::{Clock, SystemClock};
use tests::pause;
use tests::redis_server::RedisServer;

use super::{OFTEN, Sink, Size, distinct, wait_for};
use crate::contender::DURABLE;
use crate::process::Process;
use crate::sample::Samples;
use crate::subah::{Install, Spec, Store};

pub fn run(size: Size, samples: &Samples) -> Result<()> {
    let (n, away) = size.pick((500, 1), (30_000, 5), (1_000_000, 60));
    let away = Duration::from_secs(away);
    let mut server = RedisServer::start_on_port(&DURABLE);
    let sink = Sink::start()?;
    let store = Store::over(&server);
    let lead = Duration::from_secs(10) + Duration::from_micros(60) * n;
    let install = Install::new(&Spec {
        store: store.clone(),
        far_side: sink.url.clone(),
        people: n,
        numbers: 20,
        throughput: 1_000,
        concurrency: 50,
        opens_in: lead,
        spread: Duration::from_secs(2),
        repairs: Duration::from_secs(600),
    })?;
    let mut process = Process::start(store.contender(), &mut install.command(&["run"]))?;
    let opens_in = |margin| install.opens.since(SystemClock.now()).saturating_sub(margin);
    pause(opens_in(Duration::from_millis(500)));
    server.kill();
    pause(opens_in(Duration::ZERO) + away);
    let before = sink.count()?;
    server.come_back();
    let back = SystemClock.now();
    wait_for("the first message", (Duration::from_secs(120), OFTEN), || {
        Ok((sink.count()? > before).then_some(()))
    })?;
    let first_s = SystemClock.now().since(back).as_secs_f64();
    sink.wait_for(n, Duration::from_secs(1_200), &mut process)?;
    let drained_s = SystemClock.now().since(back).as_secs_f64();
    process.stop();
    let arrivals = sink.arrivals()?;
    let twice = (arrivals.len() - distinct(&arrivals)) as f64;
    let case = format!("{n} due, {} s away", away.as_secs());
    let values = [
        ("first_message_s", first_s),
        ("drained_s", drained_s),
        ("rate_per_s", f64::from(n - before) / (drained_s - first_s)),
        ("sent_twice", twice),
    ];
    samples.add(("outage", &case), store.contender(), 0, &values)
}

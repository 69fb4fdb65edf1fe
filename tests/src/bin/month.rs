//! A month of mornings in one process: the real daemon under clocks that pass a day in minutes.
//! Memory, disk and start-up must stay flat once retention has begun to let go. Prints a part of
//! `tests/RELIABILITY.md`.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use chrono::{Days, NaiveDate};
use chrono_tz::Asia::Kolkata;
use clap::Parser;
use tests::month::measure::{Disk, Growth, Memory, forget_peak, memory};
use tests::month::start_up::StartUp;
use tests::month::{House, at};
use tests::within;

/// Lets days pass and judges what grew.
#[derive(Parser)]
struct Args {
    #[arg(long, default_value_t = 30)]
    days: u32,
    /// Deliveries of each day
    #[arg(long, default_value_t = 100_000)]
    people: u32,
}

/// When a start is measured, and on the last day.
const START_ON: [u32; 9] = [1, 5, 10, 12, 15, 17, 20, 25, 28];
/// Runs that the ledger holds at rest: those of nine days.
const RUNS_KEPT: usize = 9;
/// What is compared: the medians of these days, once retention has begun to let go …
const EARLIER: std::ops::RangeInclusive<u32> = 12..=17;
/// … and of these.
const LATER: std::ops::RangeInclusive<u32> = 25..=30;
/// What a start may take more in any case, seconds: a few hundredths are the machine's own.
const START_SLACK: f64 = 0.025;
/// The longest that a morning may take to be delivered, in real time.
const MORNING: Duration = Duration::from_secs(1_100);

struct Day {
    number: u32,
    memory: Memory,
    /// The resident memory by the daemon's own metric, bytes.
    told: f64,
    disk: Disk,
    /// Age of the oldest webhooks that are kept.
    inbox_days: f64,
    start_up: Option<StartUp>,
}

fn main() -> Result<ExitCode> {
    let args = Args::parse();
    let begun = Instant::now();
    let mut house = House::begin(args.people)?;
    let process = house.daemon().id();
    let first = house.now().to_utc().with_timezone(&Kolkata).date_naive();
    let mut days = Vec::new();
    for number in 1..=args.days {
        let date = first + Days::new(u64::from(number - 1));
        let day = live(&mut house, &args, number, date).with_context(|| {
            format!("day {number}, {date}; the daemon said last:\n{}", house.last_words())
        })?;
        say(&day, begun);
        days.push(day);
    }
    ensure!(house.daemon().id() == process, "the daemon is another process");
    let last = house.restart().context("stop and start the daemon at the end")?;
    let grown = growth(&days);
    print_page(&args, &house, &days, &last, &grown)?;
    let flat = grown.iter().all(Growth::is_flat);
    Ok(ExitCode::from(u8::from(!flat)))
}

/// From 04:30 of a date to 04:30 of the next.
fn live(house: &mut House, args: &Args, number: u32, date: NaiveDate) -> Result<Day> {
    forget_peak(house.daemon().id())?;
    if number > 1 {
        house.provide(date)?;
    }
    house.pass_until(at(date, "05:30:02"))?;
    morning(house, args, date)?;
    judge(house, args, number, date)?;
    house.pass_until(at(date, "12:00:00"))?;
    let_go(house, usize::try_from(number)?.min(RUNS_KEPT), date)?;
    house.pass_until(at(date, "23:00:00"))?;
    let resident = |line: &str| line.starts_with("process_resident_memory_bytes ");
    let mut day = Day {
        number,
        memory: memory(house.daemon().id())?,
        told: house.metric(resident).context("ask for the daemon's metrics")?,
        disk: Disk::of(&house.state())?,
        inbox_days: house.inbox_days()?,
        start_up: None,
    };
    if START_ON.contains(&number) || number == args.days {
        day.start_up = Some(house.measure_start()?);
        house.renew_far_side()?;
    }
    house.pass_until(at(date + Days::new(1), "04:30:00"))?;
    Ok(day)
}

/// Waits until the ledger holds so many runs. A round of retention asks the far side for the
/// time first, which no piece of time must cut in two: it has a few seconds between them here.
fn let_go(house: &mut House, runs: usize, date: NaiveDate) -> Result<()> {
    loop {
        let gone = || house.runs().is_ok_and(|held| held == runs).then_some(());
        if within(Duration::from_secs(3), Duration::from_millis(300), gone).is_some() {
            return Ok(());
        }
        let held = house.runs()?;
        ensure!(house.now() < at(date, "20:00:00"), "{held} runs are held, expected {runs}");
        house.pass_until(house.now() + Duration::from_secs(300))?;
    }
}

/// Planned, sent and delivered, all by the metrics of the daemon.
fn morning(house: &mut House, args: &Args, date: NaiveDate) -> Result<()> {
    let people = f64::from(args.people);
    let opens = at(date, "06:00:00").secs_f64();
    let sum = |house: &House, metric: &str| house.metric(|line| line.starts_with(metric));
    let look = Duration::from_millis(500);
    let planned = || {
        let of_today = sum(house, "subah_run_scheduled_timestamp_seconds{") == Some(opens);
        let all = sum(house, "subah_run_recipients{") == Some(people);
        (of_today && all).then_some(())
    };
    within(MORNING, look, planned).context("the run is not planned")?;
    house.pass_until(at(date, "05:59:50"))?;
    let arrived = |line: &str| {
        let ends = ["state=\"delivered\"}", "state=\"read\"}"];
        line.starts_with("subah_run_deliveries{") && ends.iter().any(|end| line.contains(end))
    };
    let delivered = || (house.metric(arrived) == Some(people)).then_some(());
    within(MORNING, look, delivered)
        .with_context(|| format!("{:?} of {people} were delivered", house.metric(arrived)))?;
    house.far_side.settle()
}

/// Each delivery once: by the ledger and by the far side's own count.
fn judge(house: &House, args: &Args, number: u32, date: NaiveDate) -> Result<()> {
    let people = u64::from(args.people);
    let states = house.report(date)?["states"].clone();
    let arrived = ["delivered", "read"].iter().filter_map(|state| states[state].as_u64());
    ensure!(arrived.sum::<u64>() == people, "expected {people} delivered, found {states}");
    let (taken, all) = (house.far_side.taken()?, people * u64::from(number));
    let once = taken.distinct_deliveries == all && taken.accepted == all && taken.duplicates == 0;
    ensure!(once, "expected {all} messages, each once; the far side counted {taken:?}");
    Ok(())
}

/// Nothing to compare before the last days: empty.
fn growth(days: &[Day]) -> Vec<Growth> {
    if days.last().is_none_or(|day| day.number < *LATER.end()) {
        return Vec::new();
    }
    let compare = |what, slack, measure: &dyn Fn(&Day) -> Option<f64>| {
        let of = |range: std::ops::RangeInclusive<u32>| {
            let days = days.iter().filter(|day| range.contains(&day.number));
            days.filter_map(measure).collect()
        };
        Growth::between(what, of(EARLIER), of(LATER), slack)
    };
    let starts = |day: &Day| day.start_up.map(|start| start.took.as_secs_f64());
    vec![
        compare("memory at rest", 0.0, &|day| Some(day.memory.resident as f64)),
        compare("peak memory of a day", 0.0, &|day| Some(day.memory.peak as f64)),
        compare("the state folder without exports", 0.0, &|day| Some(day.disk.kept() as f64)),
        compare("start-up", START_SLACK, &starts),
        compare("memory after a start", 0.0, &|day| Some(day.start_up?.memory.resident as f64)),
    ]
}

fn mib(bytes: u64) -> String {
    format!("{:.1}", bytes as f64 / 1_048_576.0)
}

/// A line of the table.
fn row(day: &Day) -> String {
    let Disk { ledger, records, journal, inbox, exports, .. } = day.disk;
    let start = day.start_up.map_or(["–".into(), "–".into()], |start| {
        [format!("{}", start.took.as_millis()), mib(start.memory.resident * 1_024)]
    });
    let parts = [ledger, records, journal, inbox, day.disk.flat(), day.disk.kept(), exports];
    let memory = [day.memory.resident, day.memory.peak].map(|kib| mib(kib * 1_024));
    let cells = [&memory[..], &parts.map(mib)[..], &start[..]].concat();
    format!("| {} | {} |", day.number, cells.join(" | "))
}

fn say(day: &Day, begun: Instant) {
    let told = mib(day.told as u64);
    let (kept, seconds) = (day.inbox_days, begun.elapsed().as_secs());
    eprintln!("{} resident by its metric {told}, inbox {kept:.1} days, {seconds} s", row(day));
}

fn print_page(
    args: &Args,
    house: &House,
    days: &[Day],
    last: &StartUp,
    grown: &[Growth],
) -> Result<()> {
    let (taken, last_day) = (house.far_side.taken()?, days.last().context("no day was lived")?);
    println!(
        "{} days of {} deliveries: the far side took {} messages in {} requests, {} deliveries, {} duplicates, none missing. The oldest webhooks that are kept on the last day are {:.1} days old; its resident memory by the daemon's own metric is {} MiB.",
        args.days,
        args.people,
        taken.accepted,
        taken.requests,
        taken.distinct_deliveries,
        taken.duplicates,
        last_day.inbox_days,
        mib(last_day.told as u64),
    );
    println!(
        "\n| day | resident at rest | peak | ledger | records | journal | inbox | snapshots, content, rest | **together** | exports | start-up, ms | resident after it |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |");
    let shown = days.iter().filter(|day| day.start_up.is_some());
    shown.for_each(|day| println!("{}", row(day)));
    println!(
        "\nStopped in order at the end and started again where it lived: {} ms, {} MiB.\n",
        last.took.as_millis(),
        mib(last.memory.resident * 1_024)
    );
    if grown.is_empty() {
        println!("Too few days to say what grows.");
    }
    for one in grown {
        let verdict = if one.is_flat() { "" } else { ": **it grows**" };
        println!("- {}: {:+.1} %{verdict}", one.what, 100.0 * one.share());
    }
    Ok(())
}

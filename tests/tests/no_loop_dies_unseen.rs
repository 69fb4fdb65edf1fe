//! Goal: whichever loop of the daemon dies, somebody hears of it, and the morning is done.
//! Method: a debug build ends one loop's task a second after it began; one morning each.

use std::fs::File;
use std::process::Stdio;
use std::time::Duration;

use tests::install::{Install, Running, Times};
use tests::until;

struct Daemon {
    running: Running,
    install: Install,
}

impl Daemon {
    fn start(fails: &str) -> Self {
        let times = Times { opens_in: Duration::from_secs(6), length: Duration::from_secs(8) };
        let install = Install::new(40, times);
        let running = serve(&install, fails);
        Daemon { running, install }
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.install.path("serve.log")).unwrap()
    }

    /// The line of the log that tells of the death.
    fn hears_of(&self, name: &str, cause: &str) -> String {
        let wanted = format!("the {name} ended by itself");
        let line = until("the death being said", || {
            self.log().lines().find(|line| line.contains(&wanted)).map(str::to_owned)
        });
        assert!(line.contains(cause), "{line}");
        line
    }

    fn does_the_morning(&self) {
        let report = until("the run closing", || {
            let status = self.install.output(&["status", "--format", "csv"]);
            let closed = String::from_utf8_lossy(&status.stdout).contains("phase,closed");
            closed.then(|| self.install.report()).flatten()
        });
        assert_eq!(report["by_deadline"]["delivered"], 40, "{report}");
        let oracle = self.install.oracle();
        assert_eq!(oracle["oracle"]["duplicates"], 0, "{oracle}");
    }
}

/// `fails` is a loop, or a place in the sender where a task of its own panics.
fn serve(install: &Install, fails: &str) -> Running {
    let log = File::options().append(true).create(true).open(install.path("serve.log")).unwrap();
    let mut command = install.command(&["serve"]);
    let variable = if fails.starts_with("panic-") { "SUBAH_FAILPOINT" } else { "SUBAH_FAIL_LOOP" };
    command.env(variable, fails).env("WATCHDOG_USEC", "400000");
    command.env("NOTIFY_SOCKET", install.path("nobody.sock"));
    Running(command.stdout(Stdio::null()).stderr(log).spawn().unwrap())
}

fn is_begun_again(name: &str) {
    let daemon = Daemon::start(name);
    let line = daemon.hears_of(name, "it panicked: a test ends");
    assert!(line.contains("started again"), "{line}");
    let (code, text) = until("its health being whole again", || {
        daemon.install.get("/healthz").filter(|(code, _)| *code == 200)
    });
    assert_eq!((code, text.as_str()), (200, "ok\n"));
    let (_, metrics) = daemon.install.get("/metrics").unwrap();
    let ends = format!("subah_loop_ends_total{{loop=\"{name}\"}} 1");
    assert!(metrics.contains(&ends), "{metrics}");
    daemon.does_the_morning();
}

fn ends_the_process_in_order(name: &str) {
    let mut daemon = Daemon::start(name);
    let line = daemon.hears_of(name, "it panicked: a test ends");
    goes_on_in_another_process(&mut daemon, &line);
}

fn goes_on_in_another_process(daemon: &mut Daemon, line: &str) {
    assert!(line.contains("this process ends in order"), "{line}");
    assert_ne!(daemon.running.wait(), 0, "systemd starts another one");
    assert!(daemon.log().contains("stopped"), "in order");
    daemon.running = serve(&daemon.install, "");
    daemon.does_the_morning();
}

#[test]
fn a_reader_of_stops_is_begun_again() {
    is_begun_again("people");
}

#[test]
fn an_applier_is_begun_again() {
    is_begun_again("applier");
}

#[test]
fn a_merger_is_begun_again() {
    is_begun_again("merger");
}

#[test]
fn a_sweeper_is_begun_again() {
    is_begun_again("sweeper");
}

#[test]
fn a_scheduler_is_begun_again() {
    is_begun_again("scheduler");
}

#[test]
fn a_sampler_is_begun_again() {
    is_begun_again("sampler");
}

#[test]
fn a_token_keeper_is_begun_again() {
    is_begun_again("token_keeper");
}

#[test]
fn a_watchdog_is_begun_again() {
    is_begun_again("watchdog");
}

#[test]
fn a_keeper_of_ages_is_begun_again() {
    is_begun_again("retention");
}

#[test]
fn a_relay_is_begun_again() {
    is_begun_again("relay");
}

#[test]
fn a_recorder_is_begun_again() {
    is_begun_again("recorder");
}

#[test]
fn a_fetcher_of_copies_is_begun_again() {
    is_begun_again("copies");
}

#[test]
fn whoever_looks_ahead_is_begun_again() {
    is_begun_again("foresight");
}

#[test]
fn a_keeper_of_templates_is_begun_again() {
    is_begun_again("template_keeper");
}

#[test]
fn whoever_looks_before_a_run_is_begun_again() {
    is_begun_again("preflight");
}

#[test]
fn a_keeper_of_numbers_is_begun_again() {
    is_begun_again("number_keeper");
}

#[test]
fn whoever_uploads_ahead_is_begun_again() {
    is_begun_again("uploads");
}

#[test]
fn whoever_fetches_lists_is_begun_again() {
    is_begun_again("pulls");
}

#[test]
fn a_sender_that_dies_ends_the_process_in_order() {
    ends_the_process_in_order("sender");
}

#[test]
fn a_receiver_that_dies_ends_the_process_in_order() {
    ends_the_process_in_order("receiver");
}

#[test]
fn a_watch_that_dies_ends_the_process_in_order() {
    ends_the_process_in_order("watch");
}

/// What keeps lanes, renewing their leases, must not go on without them.
#[test]
fn a_claim_loop_that_dies_takes_its_sender_along() {
    let mut daemon = Daemon::start("panic-claims:8");
    let line = daemon.hears_of("sender", "a claim loop panicked");
    goes_on_in_another_process(&mut daemon, &line);
}

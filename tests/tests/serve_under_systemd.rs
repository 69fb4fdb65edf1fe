//! Goal: the daemon does a morning on its own, tells systemd what it does, shows every
//! metric that rules and dashboards name, and stops in order.

use std::collections::BTreeSet;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::Stdio;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use tests::install::{Install, Running, Times};
use tests::{PATIENCE, until};

/// What systemd would hear. Read all the time, as systemd does.
struct Systemd(Receiver<String>);

impl Systemd {
    fn listen(path: &Path) -> Self {
        let socket = UnixDatagram::bind(path).unwrap();
        let (heard, lines) = channel();
        std::thread::spawn(move || {
            let mut buffer = [0; 4_096];
            while let Ok(n) = socket.recv(&mut buffer) {
                let text = String::from_utf8_lossy(&buffer[..n]).into_owned();
                for line in text.lines() {
                    if heard.send(line.to_owned()).is_err() {
                        return;
                    }
                }
            }
        });
        Systemd(lines)
    }

    /// Waits for a line that starts with `wanted`.
    fn hear(&self, wanted: &str) -> String {
        loop {
            let line = self.0.recv_timeout(PATIENCE).unwrap_or_else(|e| panic!("no {wanted}: {e}"));
            if line.starts_with(wanted) {
                return line;
            }
        }
    }

    /// Forgets what was heard so far.
    fn forget(&self) {
        self.0.try_iter().for_each(drop);
    }
}

fn serve(install: &Install) -> (Running, Systemd) {
    let socket = install.path("notify.sock");
    let systemd = Systemd::listen(&socket);
    let mut command = install.command(&["serve"]);
    command.env("NOTIFY_SOCKET", &socket).env("WATCHDOG_USEC", "400000");
    // Everything that can be said is said, to see that none of it is personal.
    let log = std::fs::File::create(install.path("serve.log")).unwrap();
    command.env("SUBAH_LOG", "trace").stdout(Stdio::null()).stderr(log);
    (Running(command.spawn().unwrap()), systemd)
}

#[test]
fn the_daemon_does_a_morning_feeds_the_watchdog_and_stops_in_order() {
    let times = Times { opens_in: Duration::from_secs(4), length: Duration::from_secs(8) };
    let install = Install::new(120, times);
    let (mut daemon, systemd) = serve(&install);
    assert_eq!(systemd.hear("READY=1"), "READY=1");
    systemd.hear("WATCHDOG=1");
    assert_eq!(install.get("/healthz").unwrap().0, 200);
    assert_eq!(install.get("/readyz").unwrap().0, 200);

    let beside = install.ok(&["run"]);
    assert!(beside.contains("another subah is running here and sends it"), "{beside}");

    let report = until("the run closing", || {
        let status = install.output(&["status", "--format", "csv"]);
        let closed = String::from_utf8_lossy(&status.stdout).contains("phase,closed");
        closed.then(|| install.report()).flatten()
    });
    assert_eq!(report["by_deadline"]["delivered"], 120, "{report}");
    assert_eq!(report["sla"]["met"], true, "{report}");
    systemd.forget();
    systemd.hear("WATCHDOG=1");
    let today = until("the gauges following", || {
        let (_, text) = install.get("/metrics")?;
        let arrived = text.lines().filter(|line| {
            line.starts_with("subah_run_deliveries")
                && (line.contains("\"delivered\"") || line.contains("\"read\""))
        });
        let arrived: u64 = arrived.filter_map(|l| l.rsplit(' ').next()?.parse::<u64>().ok()).sum();
        (arrived == 120).then_some(text)
    });
    let log = std::fs::read_to_string(install.path("serve.log")).unwrap();
    assert!(log.contains("delivery") || log.contains("run "), "it logged: {log}");
    for (place, text) in [("metrics", &today), ("log", &log)] {
        let secrets = ["9000000001", "Asha", "Markets open", "wamid.", "secret-"];
        for secret in secrets {
            assert!(!text.contains(secret), "{secret:?} in the {place}");
        }
    }

    daemon.terminate();
    systemd.hear("STOPPING=1");
    assert_eq!(daemon.wait(), 0);
    let oracle = install.oracle();
    assert_eq!(
        (&oracle["oracle"]["accepted"], &oracle["oracle"]["duplicates"]),
        (&120.into(), &0.into())
    );
}

#[test]
fn every_metric_that_a_rule_or_dashboard_names_is_exported() {
    let times = Times { opens_in: Duration::from_secs(3_000), length: Duration::from_secs(60) };
    let install = Install::new(1, times);
    let (_daemon, systemd) = serve(&install);
    systemd.hear("READY=1");
    let (_, text) = until("metrics", || install.get("/metrics").filter(|(code, _)| *code == 200));
    let exported: BTreeSet<&str> =
        text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../dashboards");
    let mut named = BTreeSet::new();
    for file in ["alerts.yml", "sla-wall.json"] {
        let text = std::fs::read_to_string(root.join(file)).unwrap();
        named.extend(metric_names(&text));
    }
    assert!(named.len() > 8, "{named:?}");
    for name in named {
        let base = ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end));
        let known = exported.contains(name.as_str()) || base.is_some_and(|b| exported.contains(b));
        assert!(known, "{name} is named, but not exported");
    }
}

/// Words of the form `subah_…` that are not recorded by the rules themselves.
fn metric_names(text: &str) -> Vec<String> {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    let words = text.split(|c| !word(c)).filter(|w| w.starts_with("subah_"));
    words.map(str::to_owned).collect()
}

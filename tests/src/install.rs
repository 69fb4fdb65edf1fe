//! An installation in a temporary folder: configuration, credentials, recipients, content,
//! and a simulated Cloud API in a process of its own.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use chrono::{DateTime, Timelike, Utc};
use chrono_tz::Tz;
use domain::campaign::{CampaignId, Category};
use domain::{BusinessNumber, Clock, SystemClock};
use scheduler::Campaign;
use scheduler::campaign::Defaults;
use serde_json::Value;
use tempfile::TempDir;
use templates::definition::HeaderFormat;
use templates::lint::Lint;
use templates::{ParameterFormat, TemplateDefinition};

use crate::{free_port, subah};

/// Kills its process when it goes out of scope.
pub struct Running(pub Child);

impl Running {
    /// SIGTERM, as systemd sends it.
    pub fn terminate(&self) {
        let pid = self.0.id().to_string();
        let sent = Command::new("kill").args(["-TERM", &pid]).status().expect("kill is there");
        assert!(sent.success(), "process {pid} is gone");
    }

    pub fn wait(&mut self) -> i32 {
        self.0.wait().expect("a child can be waited for").code().unwrap_or(-1)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// When the window opens and how long it lasts.
#[derive(Clone, Copy)]
pub struct Times {
    pub opens_in: Duration,
    pub length: Duration,
}

pub struct Install {
    pub dir: TempDir,
    pub receiver: u16,
    pub metrics: u16,
    pub simulator: String,
    _simulator: Running,
}

impl Install {
    /// `people` recipients on two numbers, content for today, and a calm far side.
    ///
    /// # Panics
    /// When anything of it cannot be made.
    pub fn new(people: u32, times: Times) -> Self {
        Install::beside(people, times, &[])
    }

    /// The same; the simulator knows the templates of the file `templates.json`, and no others.
    ///
    /// # Panics
    /// As [`Install::new`].
    pub fn with_templates(people: u32, times: Times) -> Self {
        Install::beside(people, times, &[("--templates", "templates.json")])
    }

    /// The same; the simulator says of its numbers what the file `numbers.json` says.
    ///
    /// # Panics
    /// As [`Install::new`].
    pub fn with_numbers(people: u32, times: Times) -> Self {
        Install::beside(people, times, &[("--numbers", "numbers.json")])
    }

    /// The simulator reads these files, by flag.
    fn beside(people: u32, times: Times, files: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let (receiver, metrics) = (free_port(), free_port());
        write_credentials(dir.path());
        let valid = dir.path().join("valid-token");
        std::fs::copy(dir.path().join("token"), &valid).expect("a copy");
        let paths = files.iter().map(|(_, name)| dir.path().join(name)).collect::<Vec<_>>();
        let mut more = vec!["--token-file", valid.to_str().expect("UTF-8")];
        for ((flag, _), path) in files.iter().zip(&paths) {
            more.extend([*flag, path.to_str().expect("UTF-8")]);
        }
        let (simulator, process) = start_simulator(dir.path(), receiver, "none", &more);
        let install = Install { dir, receiver, metrics, simulator, _simulator: process };
        std::fs::write(install.path("subah.toml"), install.config(times)).expect("the config");
        std::fs::write(install.path("recipients.csv"), recipients(people)).expect("the list");
        std::fs::write(install.path("content.ndjson"), CONTENT).expect("the content");
        install.ok(&["recipients", "import", install.path("recipients.csv").to_str().unwrap()]);
        install.ok(&["content", "import", install.path("content.ndjson").to_str().unwrap()]);
        install
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn config(&self, times: Times) -> String {
        format!(
            r#"
[cloud_api]
base_url = "{simulator}"
connect_timeout = "1s"
total_timeout = "1s"
[receiver]
listen = "127.0.0.1:{receiver}"
[metrics]
listen = "127.0.0.1:{metrics}"
[sender]
budget = "1s"
intent_timeout = "3s"
lease = "2s"
[[numbers]]
id = "1001"
[[numbers]]
id = "1002"
{shared}
"#,
            simulator = self.simulator,
            receiver = self.receiver,
            metrics = self.metrics,
            shared = shared_config(times),
        )
    }

    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = subah();
        command.arg("--config").arg(self.path("subah.toml")).args(args);
        command
    }

    pub fn output(&self, args: &[&str]) -> Output {
        self.command(args).output().expect("subah runs")
    }

    /// Runs a command that must answer yes; returns its standard output.
    pub fn ok(&self, args: &[&str]) -> String {
        let output = self.output(args);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "subah {args:?}: {errors}");
        String::from_utf8(output.stdout).expect("UTF-8")
    }

    /// Starts a command in the background, its output going nowhere.
    pub fn start(&self, args: &[&str]) -> Running {
        let mut command = self.command(args);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        Running(command.spawn().expect("subah runs"))
    }

    /// The report of the latest run, or `None` while there is none.
    pub fn report(&self) -> Option<Value> {
        let output = self.output(&["report", "--format", "json"]);
        serde_json::from_slice(&output.stdout).ok()
    }

    /// What the far side counted.
    pub fn oracle(&self) -> Value {
        get_json(&format!("{}/oracle", self.simulator))
    }

    pub fn get(&self, path: &str) -> Option<(u16, String)> {
        get(&format!("http://127.0.0.1:{}{path}", self.metrics))
    }
}

/// Credentials, template and window.
pub fn shared_config(times: Times) -> String {
    let share = |share: f64| times.length.mul_f64(share);
    campaign_config(local_now() + times.opens_in, [share(0.6), share(0.8), share(1.0)])
}

/// Now, in a zone where it is about noon: never near midnight, whenever a test runs.
pub fn local_now() -> DateTime<Tz> {
    let now: DateTime<Utc> = SystemClock.now().to_utc();
    let ahead = 12 - i64::from(now.hour());
    let zone = if ahead >= 0 { format!("Etc/GMT-{ahead}") } else { format!("Etc/GMT+{}", -ahead) };
    now.with_timezone(&zone.parse().expect("a zone"))
}

/// The same with a window of any shape: when it opens, and how long after that its spread
/// ends, nothing more starts, and it is judged.
pub fn campaign_config(opens: DateTime<Tz>, [spread, closes, deadline]: [Duration; 3]) -> String {
    let at = |after: Duration| (opens + after).format("%H:%M:%S").to_string();
    format!(
        r#"
[credentials]
meta_token = "token"
app_secret = "app"
verify_token = "verify"
[campaign.window]
zone = "{zone}"
opens = "{opens}"
target = "{opens}"
spread_until = "{spread}"
closes = "{closes}"
deadline = "{deadline}"
catch_up_until = "23:00"
[campaign.template]
name = "daily_pack"
body_parameters = ["first_name", "headline"]
"#,
        zone = opens.timezone(),
        opens = at(Duration::ZERO),
        spread = at(spread),
        closes = at(closes),
        deadline = at(deadline),
    )
}

/// What a plan needs to know of a campaign without a command line around it.
pub fn campaign(id: &str, body_parameters: &[&str], numbers: Vec<BusinessNumber>) -> Campaign {
    Campaign {
        id: CampaignId::try_new(id).expect("a plain name"),
        category: Category::Utility,
        template: TemplateDefinition {
            name: "daily_pack".into(),
            languages: vec!["en".into()],
            parameter_format: ParameterFormat::Named,
            header: HeaderFormat::None,
            header_parameter: None,
            body_parameters: body_parameters.iter().map(|name| (*name).into()).collect(),
            buttons: vec![],
            body_text: None,
        },
        default_language: "en".into(),
        tiers: vec![],
        numbers,
        defaults: Defaults::default(),
        lint: Lint::default(),
        families: vec![],
    }
}

pub fn write_credentials(dir: &Path) {
    for name in ["token", "app", "verify"] {
        let path = dir.join(name);
        std::fs::write(&path, format!("secret-{name}")).expect("a temporary file");
        let owner = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(&path, owner).expect("our own file");
    }
}

pub const CONTENT: &str = r#"{"recipient_id":"*","params":{"headline":"Markets open at 9:15"},"approved_by":"Desk","approved_at":"2026-01-15T18:00:00+05:30"}
"#;

pub fn recipients(people: u32) -> String {
    let mut csv = String::from("id,name,phone,tier,language,consent_utility\n");
    for n in 0..people {
        let _ = writeln!(csv, "r{n:05},Asha Rao,{},pro,en,yes", 9_000_000_000u64 + u64::from(n));
    }
    csv
}

/// A simulated Cloud API that reports to `receiver`, and where it is.
pub fn start_simulator(
    dir: &Path,
    receiver: u16,
    faults: &str,
    more: &[&str],
) -> (String, Running) {
    let mut child = subah()
        .args(["simulate", "--listen", "127.0.0.1:0", "--compress", "20", "--latency", "10ms"])
        .args(["--faults", faults])
        .args(more)
        .args(["--webhook", &format!("http://127.0.0.1:{receiver}/webhooks")])
        .arg("--app-secret-file")
        .arg(dir.join("app"))
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("subah runs");
    let mut line = String::new();
    let out = child.stdout.take().expect("it is piped");
    BufReader::new(out).read_line(&mut line).expect("the simulator says where it is");
    let address = line.split_whitespace().find(|word| word.starts_with("http://"));
    let address = address.expect("an address").trim_end_matches(';').to_owned();
    (address, Running(child))
}

/// A GET of a loopback address, over a connection of its own: cheap enough to be asked often
/// beside what is measured. Status and body; `None` without an answer.
pub fn get(url: &str) -> Option<(u16, String)> {
    let (host, path) = url.strip_prefix("http://")?.split_once('/')?;
    let mut stream = TcpStream::connect(host).ok()?;
    write!(stream, "GET /{path} HTTP/1.0\r\nHost: {host}\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some((status, body.to_owned()))
}

/// A POST of a webhook that Meta signed, with the secret of [`write_credentials`]; its status.
pub fn post_webhook(receiver: u16, body: &str) -> Option<u16> {
    post_signed(receiver, "/webhooks", "secret-app", body)
}

/// A POST of a body that is signed with `secret`; its status.
pub fn post_signed(receiver: u16, path: &str, secret: &str, body: &str) -> Option<u16> {
    let secret = secrecy::SecretString::from(secret);
    let signature = cloud_api::signature::sign(&secret, body.as_bytes());
    let mut stream = TcpStream::connect(("127.0.0.1", receiver)).ok()?;
    let length = body.len();
    write!(
        stream,
        "POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\nX-Hub-Signature-256: {signature}\r\nContent-Length: {length}\r\n\r\n{body}"
    )
    .ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    answer.split(' ').nth(1)?.parse().ok()
}

pub fn get_json(url: &str) -> Value {
    let (_, text) = get(url).expect("the simulator answers");
    serde_json::from_str(&text).expect("JSON")
}

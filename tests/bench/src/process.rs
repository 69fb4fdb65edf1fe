//! Processes under measurement: started, asked what they used, stopped.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

/// Ticks a second in /proc/PID/stat: fixed by the kernel's user interface.
const TICKS: f64 = 100.0;

/// Killed when it goes out of scope.
pub struct Process(Child);

/// What a process used so far.
#[derive(Clone, Copy, Debug, Default)]
pub struct Usage {
    pub cpu_s: f64,
    pub memory_mib: f64,
    pub peak_mib: f64,
}

impl Process {
    /// Starts it, its output thrown away.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(name: &str, command: &mut Command) -> Result<Self> {
        command.stdout(Stdio::null()).stderr(errors());
        let child = command.spawn().with_context(|| format!("start {name}"))?;
        Ok(Process(child))
    }

    /// Starts it and returns the first line it prints.
    ///
    /// # Errors
    /// When it cannot be started, or ends without a word.
    pub fn start_and_listen(name: &str, command: &mut Command) -> Result<(Self, String)> {
        command.stdout(Stdio::piped()).stderr(errors());
        let mut process = Process(command.spawn().with_context(|| format!("start {name}"))?);
        let out = process.0.stdout.take().context("it is piped")?;
        let mut lines = BufReader::new(out);
        let mut line = String::new();
        lines.read_line(&mut line)?;
        if line.is_empty() {
            bail!("{name} ended without a word");
        }
        // Its later lines must not fill the pipe.
        std::thread::spawn(move || std::io::copy(&mut lines, &mut std::io::sink()));
        Ok((process, line.trim().to_owned()))
    }

    pub fn usage(&self) -> Usage {
        usage_of(self.0.id())
    }

    pub fn is_over(&mut self) -> bool {
        matches!(self.0.try_wait(), Ok(Some(_)) | Err(_))
    }

    /// Whether it ended by itself with exit code 0; waits for the end.
    pub fn succeeded(mut self) -> bool {
        self.0.wait().is_ok_and(|status| status.success())
    }

    /// SIGTERM, and waits.
    pub fn stop(mut self) {
        if !self.is_over() {
            let _ = Command::new("kill").args(["-TERM", &self.0.id().to_string()]).status();
        }
        let _ = self.0.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Where a process's own errors go: nowhere, or here with BENCH_VERBOSE set.
fn errors() -> Stdio {
    std::env::var_os("BENCH_VERBOSE").map_or_else(Stdio::null, |_| Stdio::inherit())
}

/// Processor time and memory of any process; zeros when it is gone.
pub fn usage_of(pid: u32) -> Usage {
    let read = |file: &str| std::fs::read_to_string(format!("/proc/{pid}/{file}"));
    let stat = read("stat").unwrap_or_default();
    // The name may hold blanks: fields are counted behind its parenthesis.
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or("").split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|n| n.parse::<f64>().ok()).unwrap_or(0.0);
    let status = read("status").unwrap_or_default();
    let kib = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name));
        line.and_then(|l| l.split_whitespace().nth(1)?.parse::<f64>().ok()).unwrap_or(0.0)
    };
    Usage {
        cpu_s: (ticks(11) + ticks(12)) / TICKS,
        memory_mib: kib("VmRSS:") / 1024.0,
        peak_mib: kib("VmHWM:") / 1024.0,
    }
}

/// Runs a command to its end; its standard output.
///
/// # Errors
/// With its last words when it fails.
pub fn output(name: &str, command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("start {name}"))?;
    let errors = String::from_utf8_lossy(&output.stderr);
    let last: Vec<&str> = errors.lines().rev().take(5).collect();
    ensure!(output.status.success(), "{name} failed: {}", last.join(" / "));
    Ok(String::from_utf8(output.stdout)?)
}

//! Goal: what the README tells a new user to type works as it stands there.
//! Method: its block is cut out and run by a shell, on ports of this test's own.

use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use tests::install::local_now;
use tests::{free_port, subah_path};

const README: &str = include_str!("../../README.md");

/// The first block of shell below a heading.
fn block(heading: &str) -> String {
    let (_, below) = README.split_once(heading).expect("the README has the heading");
    let (_, block) = below.split_once("```sh\n").expect("a block follows");
    block.split_once("```").expect("the block ends").0.to_owned()
}

#[test]
fn the_whole_path_without_an_account_is_as_the_readme_says() {
    let dir = tempfile::tempdir().unwrap();
    let [far, hooks, metrics] = [free_port(), free_port(), free_port()];
    let mut script = block("## The whole path without an account");
    // Only the ports are this test's; both are named in the text.
    script =
        script.replace("subah simulate ", &format!("subah simulate --listen 127.0.0.1:{far} "));
    script = script.replace("9099", &far.to_string()).replace("8080", &hooks.to_string());
    let zone = local_now().timezone(); // where it is about noon, so the window has passed
    let ours = format!(
        "\nsed -i 's|^#= listen = .127.0.0.1:8080.*|listen = \"127.0.0.1:{hooks}\"|; s|^#= zone = .*|zone = \"{zone}\"|; s|^#= listen = .127.0.0.1:9464.*|listen = \"127.0.0.1:{metrics}\"|' subah.toml\nsed -i "
    );
    script = script.replacen("\nsed -i ", &ours, 1);
    // A person takes longer to type the next line than the simulator to listen.
    script = script.replace(
        "/webhooks &\n",
        &format!("/webhooks &\nuntil (: < /dev/tcp/127.0.0.1/{far}) 2> /dev/null; do :; done\n"),
    );
    let path =
        format!("{}:{}", subah_path().parent().unwrap().display(), std::env::var("PATH").unwrap());
    let mut shell = Command::new("bash");
    shell.args(["-e", "-o", "pipefail", "-c", &script]).current_dir(dir.path());
    shell.env("PATH", path).env_remove("SUBAH_CONFIG").process_group(0);
    let output = shell.stdin(Stdio::null()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{script}\n{said}\n{errors}");
    for wanted in [
        "3 to be sent, 1 left out",
        ": delivered;",
        "3 delivered, 1 suppressed",
        "daily-pack-test-",
    ] {
        assert!(said.contains(wanted), "{wanted} is missing:\n{said}\n{errors}");
    }
}

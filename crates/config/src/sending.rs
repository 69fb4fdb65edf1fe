//! `[cloud_api]` and `[sender]`: how messages are sent, and what follows when an answer is not clear.

use std::time::Duration;

use cloud_api::Options as CloudApi;
use domain::{Evidence, OnAmbiguous, Policy};
use sender::Options as Sender;

use crate::read::Section;

pub fn read_cloud_api(section: &mut Section) -> CloudApi {
    let default = CloudApi::default();
    let options = CloudApi {
        base_url: section.url("base_url", default.base_url),
        version: section.text("version").unwrap_or(default.version),
        connect_timeout: section.duration(
            "connect_timeout",
            millis(10)..=secs(300),
            default.connect_timeout,
        ),
        total_timeout: section.duration(
            "total_timeout",
            millis(10)..=secs(300),
            default.total_timeout,
        ),
        idle_timeout: section.duration("idle_timeout", secs(1)..=secs(3_600), default.idle_timeout),
    };
    let digits = options.version.strip_prefix('v').and_then(|v| v.split_once('.'));
    let number = |text: &str| -> Option<u32> {
        text.parse().ok().filter(|_| text.bytes().all(|b| b.is_ascii_digit()))
    };
    let major = digits.and_then(|(major, minor)| number(minor).and(number(major)));
    if major.is_none_or(|major| !(23..=99).contains(&major)) {
        let seen =
            if options.version.len() <= 20 { options.version.as_str() } else { "a long text" };
        section.problem("version", seen, "a Graph version from v23.0, e.g. \"v23.0\"");
    }
    let is_local = match options.base_url.host() {
        Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
        Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
        Some(url::Host::Domain(name)) => name == "localhost",
        None => false,
    };
    if options.base_url.scheme() == "http" && !is_local {
        section.problem(
            "base_url",
            "plain http to another host",
            "https: the token goes with every request",
        );
    }
    if options.connect_timeout > options.total_timeout {
        let seen = format!("{:?}", options.connect_timeout);
        section.problem("connect_timeout", &seen, "at most total_timeout");
    }
    options
}

pub fn read_sender(section: &mut Section, cloud_api: &CloudApi) -> (Sender, Policy) {
    let (sender, policy) = (Sender::default(), Policy::default());
    let policy = Policy {
        attempts_max: section.integer("attempts_max", policy.attempts_max, 1..=10),
        defers_max: section.integer("defers_max", policy.defers_max, 0..=1_000),
        lease: section.duration("lease", secs(1)..=secs(600), policy.lease),
        intent_timeout: section.duration(
            "intent_timeout",
            secs(1)..=secs(3_600),
            policy.intent_timeout,
        ),
        strikes_max: section.integer("strikes_max", policy.strikes_max, 1..=100),
        on_ambiguous: match section.one_of("on_ambiguous", &["evidence", "hold"], "evidence") {
            "hold" => OnAmbiguous::Hold,
            _ => OnAmbiguous::Evidence,
        },
        evidence: Evidence {
            error_wait: section.duration(
                "evidence_error_wait",
                secs(1)..=secs(3_600),
                policy.evidence.error_wait,
            ),
            lost_wait: section.duration(
                "evidence_lost_wait",
                secs(1)..=secs(3_600),
                policy.evidence.lost_wait,
            ),
            budget: section.number("evidence_budget", 0.005, 0.0..=1.0),
        },
    };
    if policy.evidence.lost_wait <= policy.intent_timeout {
        let seen = format!("{:?}", policy.evidence.lost_wait);
        let wanted = format!("more than intent_timeout = {:?}", policy.intent_timeout);
        section.problem("evidence_lost_wait", &seen, &wanted);
    }
    let sender = Sender {
        concurrency: section.integer("concurrency", 200, 1..=10_000) as usize,
        budget: section.duration("budget", millis(10)..=secs(60), sender.budget),
        backoff: domain::Backoff {
            base: section.duration("backoff_base", millis(10)..=secs(600), sender.backoff.base),
            ..sender.backoff
        },
        grace: section.duration("stop_grace", secs(1)..=secs(600), sender.grace),
        handling_timeout: policy.lease / 2 + policy.intent_timeout,
        ..sender
    };
    let longest = sender.budget + cloud_api.total_timeout;
    if longest >= policy.intent_timeout {
        let seen = format!("{:?}", policy.intent_timeout);
        let wanted = format!(
            "more than budget + cloud_api.total_timeout = {longest:?}, or an attempt could be doubted while it is under way"
        );
        section.problem("intent_timeout", &seen, &wanted);
    }
    let sender = sender.with_budget_below(policy.intent_timeout, cloud_api.total_timeout);
    (sender, policy)
}

const fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

const fn millis(n: u64) -> Duration {
    Duration::from_millis(n)
}

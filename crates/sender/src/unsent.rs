//! Why requests do not leave: said once, and then with a count, so that an outage is one
//! line a minute and not six thousand.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use domain::facts::NotSent;

/// How often a cause that goes on is said again.
const SAY_EVERY: Duration = Duration::from_secs(60);

#[derive(Debug, Default)]
pub struct Unsent(Mutex<BTreeMap<NotSent, Said>>);

#[derive(Debug)]
struct Said {
    at: Instant,
    since: u64,
}

impl Unsent {
    pub fn note(&self, why: NotSent, now: Instant) {
        if why == NotSent::Aborted {
            return; // our own doing, said where it is decided
        }
        let mut held = self.0.lock().expect("no panic while held");
        let count = match held.get_mut(&why) {
            None => {
                held.insert(why, Said { at: now, since: 0 });
                1
            }
            Some(said) => {
                said.since += 1;
                if now.saturating_duration_since(said.at) < SAY_EVERY {
                    return;
                }
                let count = said.since;
                *said = Said { at: now, since: 0 };
                count
            }
        };
        drop(held);
        tracing::error!(
            cause = why.as_str(),
            count,
            "nothing reaches the provider: {} ({count} tries); {}",
            words(why),
            what_to_do(why)
        );
    }
}

fn words(why: NotSent) -> &'static str {
    match why {
        NotSent::Dns => "its name is not found",
        NotSent::Refused => "nobody listens at its address",
        NotSent::Tls => "its certificate or protocol is not accepted",
        NotSent::Descriptors => "this process has no file descriptor left",
        NotSent::ConnectTimeout => "no connection in time",
        NotSent::Connect | NotSent::Aborted => "no connection",
    }
}

fn what_to_do(why: NotSent) -> &'static str {
    match why {
        NotSent::Dns => "look at /etc/resolv.conf and the resolver",
        NotSent::Refused => "look at cloud_api.base_url and at a proxy in between",
        NotSent::Tls => "look at the host's clock, its certificates and a proxy in between",
        NotSent::Descriptors => "raise LimitNOFILE, and look who holds connections open",
        NotSent::ConnectTimeout | NotSent::Connect | NotSent::Aborted => "look at the network",
    }
}

//! The connection: to one address, or to whichever server Sentinel calls the primary.
//!
//! | URL | |
//! |---|---|
//! | `redis://host:6379/0`, `redis+unix:///path` | plain |
//! | `rediss://host:6380/0` | TLS, by the system's roots or a CA of your own |
//! | `redis+sentinel://user:word@s1:26379,s2:26379/primary` | Sentinel; `rediss+sentinel` with TLS |
//!
//! A connection to a fixed address comes back by itself. With Sentinel the primary is asked
//! for every second, because a connection would stay with a server that became a replica.

use std::path::Path;
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::sentinel::{SentinelClient, SentinelClientBuilder, SentinelServerType};
use redis::{Client, ConnectionAddr, ErrorKind, RedisError, RedisResult, TlsCertificates, TlsMode};

/// Long enough for a server that syncs a slow disk; the crate's own default is 500 ms.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(5);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// How often Sentinel is asked who the primary is.
const ASK: Duration = Duration::from_secs(1);
const SENTINEL_PORT: u16 = 26_379;

pub struct Link {
    present: Mutex<Present>,
}

#[derive(Clone)]
struct Present {
    con: ConnectionManager,
    /// For writes that wait until replicas have them: waiting holds up its connection.
    waiting: ConnectionManager,
}

impl Link {
    /// # Errors
    /// When the URL or the CA file is unusable, or nobody answers.
    pub async fn connect(url: &str, ca_file: Option<&Path>) -> RedisResult<Arc<Self>> {
        let tls = ca_file.map(certificates).transpose()?;
        let Some(sentinels) = Sentinels::parse(url)? else {
            let client = match tls {
                Some(tls) => Client::build_with_tls(url, tls)?,
                None => Client::open(url)?,
            };
            let present = Mutex::new(Present::open(&client).await?);
            return Ok(Arc::new(Link { present }));
        };
        let mut sentinel = sentinels.client(tls.as_ref())?;
        let client = sentinel.async_get_client().await?;
        let link = Arc::new(Link { present: Mutex::new(Present::open(&client).await?) });
        let address = client.get_connection_info().addr().to_string();
        tokio::spawn(follow(Arc::downgrade(&link), sentinel, address));
        Ok(link)
    }

    pub fn con(&self) -> ConnectionManager {
        self.present.lock().expect("no panic while held").con.clone()
    }

    pub fn waiting(&self) -> ConnectionManager {
        self.present.lock().expect("no panic while held").waiting.clone()
    }
}

impl Present {
    async fn open(client: &Client) -> RedisResult<Self> {
        let config = || {
            ConnectionManagerConfig::new()
                .set_response_timeout(Some(RESPONSE_TIMEOUT))
                .set_connection_timeout(Some(CONNECT_TIMEOUT))
                .set_number_of_retries(2)
        };
        let con = client.get_connection_manager_with_config(config()).await?;
        let waiting = client.get_connection_manager_with_config(config()).await?;
        Ok(Present { con, waiting })
    }
}

/// Moves the link to a new primary, for as long as someone uses it.
async fn follow(link: Weak<Link>, mut sentinel: SentinelClient, mut address: String) {
    loop {
        tokio::time::sleep(ASK).await;
        let Some(link) = link.upgrade() else { return };
        let Ok(client) = sentinel.async_get_client().await else { continue };
        let found = client.get_connection_info().addr().to_string();
        if found == address {
            continue;
        }
        if let Ok(present) = Present::open(&client).await {
            tracing::warn!("Sentinel names another primary; the ledger moves to it");
            *link.present.lock().expect("no panic while held") = present;
            address = found;
        }
    }
}

fn bad(why: &'static str, detail: String) -> RedisError {
    RedisError::from((ErrorKind::InvalidClientConfig, why, detail))
}

/// An empty file would be accepted, and every certificate refused much later.
fn certificates(path: &Path) -> RedisResult<TlsCertificates> {
    let pem = std::fs::read(path)
        .map_err(|e| bad("read store.redis_ca", format!("{}: {e}", path.display())))?;
    if !String::from_utf8_lossy(&pem).contains("BEGIN CERTIFICATE") {
        return Err(bad("store.redis_ca holds no certificate", path.display().to_string()));
    }
    Ok(TlsCertificates { client_tls: None, root_cert: Some(pem) })
}

/// What a Sentinel URL says.
#[derive(Debug, PartialEq, Eq)]
struct Sentinels {
    tls: bool,
    nodes: Vec<(String, u16)>,
    primary: String,
    user: Option<String>,
    password: Option<String>,
}

impl Sentinels {
    /// `None` for a URL of another kind.
    fn parse(url: &str) -> RedisResult<Option<Self>> {
        let (tls, rest) =
            match (url.strip_prefix("redis+sentinel://"), url.strip_prefix("rediss+sentinel://")) {
                (Some(rest), _) => (false, rest),
                (_, Some(rest)) => (true, rest),
                (None, None) => return Ok(None),
            };
        let wanted = || {
            let form = "redis+sentinel://[user:password@]host[:port][,host[:port]]/primary";
            bad("the Sentinel URL has another form", format!("expected {form}"))
        };
        let (credentials, rest) = rest.rsplit_once('@').unwrap_or(("", rest));
        let (user, password) = credentials.split_once(':').unwrap_or((credentials, ""));
        let (nodes, primary) = rest.split_once('/').ok_or_else(wanted)?;
        let node = |text: &str| match text.rsplit_once(':') {
            Some((host, port)) => Some((host.to_owned(), port.parse().ok()?)),
            None => Some((text.to_owned(), SENTINEL_PORT)),
        };
        let nodes: Option<Vec<_>> = nodes.split(',').map(node).collect();
        let nodes = nodes.filter(|n| n.iter().all(|(host, _)| !host.is_empty()));
        if primary.is_empty() || primary.contains('/') {
            return Err(wanted());
        }
        let given = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        Ok(Some(Sentinels {
            tls,
            nodes: nodes.ok_or_else(wanted)?,
            primary: primary.to_owned(),
            user: given(user),
            password: given(password),
        }))
    }

    fn client(&self, tls: Option<&TlsCertificates>) -> RedisResult<SentinelClient> {
        let address = |(host, port): &(String, u16)| match self.tls {
            true => ConnectionAddr::TcpTls {
                host: host.clone(),
                port: *port,
                insecure: false,
                tls_params: None,
            },
            false => ConnectionAddr::Tcp(host.clone(), *port),
        };
        let nodes: Vec<ConnectionAddr> = self.nodes.iter().map(address).collect();
        let kind = SentinelServerType::Master;
        let mut builder = SentinelClientBuilder::new(nodes, self.primary.as_str(), kind)?;
        if let Some(user) = &self.user {
            builder = builder.set_client_to_redis_username(user);
        }
        if let Some(password) = &self.password {
            builder = builder.set_client_to_redis_password(password);
        }
        if self.tls {
            builder = builder.set_client_to_redis_tls_mode(TlsMode::Secure);
        }
        if let (true, Some(tls)) = (self.tls, tls) {
            builder = builder
                .set_client_to_redis_certificates(tls.clone())
                .set_client_to_sentinel_certificates(tls.clone());
        }
        builder.build()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentinel_urls_are_read_and_others_left_alone() {
        let parse = |url| Sentinels::parse(url).unwrap();
        assert_eq!(parse("redis://127.0.0.1/0"), None);
        let found = parse("redis+sentinel://subah:w%40rd@s1,s2:26380/morning").unwrap();
        assert_eq!(found.nodes, [("s1".to_owned(), 26_379), ("s2".to_owned(), 26_380)]);
        assert_eq!((found.primary.as_str(), found.user.as_deref()), ("morning", Some("subah")));
        assert!(parse("rediss+sentinel://s1/morning").unwrap().tls);
        for odd in ["redis+sentinel://s1", "redis+sentinel://,/m", "redis+sentinel://s1:x/m"] {
            assert!(Sentinels::parse(odd).is_err(), "{odd}");
        }
    }
}

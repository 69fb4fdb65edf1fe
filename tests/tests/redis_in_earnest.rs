//! Goal: Redis is refused when it could forget, believed only after recovery when it was
//! replaced, and reached with no more rights than are needed.
//! Method: real servers: weak ones, one that is restarted, one behind TLS, a replica that
//! Sentinel promotes.

use std::path::Path;
use std::process::Command;

use ledger::redis::Options;
use ledger::{IntentAnswer, Ledger, LedgerError, Redis, Refusal};
use tests::conformance::{self, Stage};
use tests::redis_server::RedisServer;
use tests::{block_on, until};

async fn problems(settings: &[&str], replicas: u32) -> String {
    let server = RedisServer::start_with(settings);
    let options = Options { replicas, ..Options::new(&server.url(), "weak", false) };
    match Redis::connect(&options).await {
        Err(error @ LedgerError::Unsafe { .. }) => error.to_string(),
        Err(error) => panic!("{error}"),
        Ok(_) => String::new(),
    }
}

#[tokio::test]
async fn every_weak_setting_is_named() {
    let good = ["--appendonly", "yes", "--appendfsync", "always"];
    assert_eq!(problems(&good, 0).await, "", "a safe server is taken");
    let cases: [(&[&str], &str); 6] = [
        (&["--appendonly", "no"], "appendonly is no, expected yes"),
        (&["--appendfsync", "everysec"], "appendfsync is everysec, expected always"),
        (&["--appendfsync", "no"], "appendfsync is no, expected always"),
        (&["--no-appendfsync-on-rewrite", "yes"], "no-appendfsync-on-rewrite is yes"),
        (&["--maxmemory-policy", "allkeys-lru"], "maxmemory-policy is allkeys-lru"),
        (&["--replicaof", "127.0.0.1 1"], "this server is a slave: name the primary"),
    ];
    for (weak, want) in cases {
        let settings: Vec<&str> = good.iter().chain(weak).copied().collect();
        let said = problems(&settings, 0).await;
        assert!(said.contains(want), "{weak:?}: {said}");
    }
    let alone = problems(&good, 1).await;
    assert!(alone.contains("0 replicas are connected, store.redis_replicas expects 1"), "{alone}");
    assert!(alone.contains("min-replicas-to-write is 0, expected 1 or more"), "{alone}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restarted_server_is_not_sent_from_before_it_was_recovered() {
    let mut server = RedisServer::start();
    let options = Options::new(&server.url(), "fence", false);
    let ledger = Redis::connect(&options).await.unwrap();
    let stage = Stage::new(&ledger, "fence", 4).await;
    stage.plan().await;
    let claim = stage.claim(1).await.remove(0);
    let before = ledger.incarnation().await.unwrap().unwrap();
    assert!(ledger.fenced_runs().await.unwrap().is_empty());

    server.restart();
    let after = until("another run id", || {
        let found = block_on(ledger.incarnation()).ok().flatten();
        found.filter(|found| *found != before)
    });
    assert_eq!(ledger.fenced_runs().await.unwrap(), std::slice::from_ref(&stage.run));
    let refused = IntentAnswer::Refused(Refusal::StoreRestarted);
    assert_eq!(stage.intent(&claim, 1).await, refused, "not even with a good lease");
    let claims = ledger.claim(&stage.lane, 5).await;
    assert!(matches!(claims, Err(LedgerError::StoreRestarted { .. })), "{claims:?}");
    stage.apply(0, domain::Attempt::new(9.into())).await; // facts are taken all the same

    ledger.lift_fence(&before).await.unwrap();
    assert_eq!(ledger.fenced_runs().await.unwrap().len(), 1, "that one is gone");
    ledger.lift_fence(&after).await.unwrap();
    assert!(ledger.fenced_runs().await.unwrap().is_empty());
    assert!(!stage.claim(5).await.is_empty(), "sending goes on");
}

/// As between FLUSHALL and the next plan: what was missing for a moment must not be
/// remembered as empty, or every claim from then on has no words.
#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_missing_for_a_moment_costs_only_what_was_claimed_then() {
    let server = RedisServer::start();
    let ledger = Redis::connect(&Options::new(&server.url(), "body", false)).await.unwrap();
    let stage = Stage::new(&ledger, "body", 4).await;
    stage.plan().await;
    let bodies = format!("body:{{{}}}:b", stage.run);
    let hash = ledger::BodyHash::of("body");
    server.command(&["DEL", &bodies]);
    assert!(matches!(ledger.content(&stage.run, &hash).await, Err(LedgerError::Corrupt { .. })));
    assert!(stage.claim(1).await.is_empty(), "nothing is handed out without its words");
    assert_eq!(stage.state(0).await, domain::State::Quarantined);
    server.command(&["HSET", &bodies, hash.as_str(), "body"]);
    let claims = stage.claim(5).await;
    assert_eq!(claims.iter().map(|claim| &*claim.body).collect::<Vec<_>>(), ["body"; 3]);
    assert_eq!(ledger.counts(&stage.run).await.unwrap(), ledger.recount(&stage.run).await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_scripts_and_other_schemas() {
    let server = RedisServer::start();
    let options = Options::new(&server.url(), "scripts", false);
    let ledger = Redis::connect(&options).await.unwrap();
    server.command(&["SCRIPT", "FLUSH"]);
    conformance::run(&ledger).await;
    server.command(&["SET", "scripts:schema", "99"]);
    let Err(error) = Redis::connect(&options).await else { panic!("another schema was taken") };
    assert!(error.to_string().contains("has schema 99, this program reads schema 5"), "{error}");
}

#[tokio::test]
async fn the_published_user_can_do_all_that_is_needed_and_no_more() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/redis/users.acl"); // as it is
    let server = RedisServer::start_with(&[
        "--appendonly",
        "yes",
        "--appendfsync",
        "always",
        "--aclfile",
        file,
    ]);
    let url = format!("{}?user=subah&pass=PASSWORD", server.url());
    let options = Options::new(&url, "subah", false);
    conformance::run(&Redis::connect(&options).await.unwrap()).await;
    let stranger = Redis::connect(&Options::new(&server.url(), "subah", false)).await;
    assert!(stranger.is_err(), "nobody comes in without a name");
    let elsewhere = Redis::connect(&Options::new(&url, "other", false)).await;
    assert!(elsewhere.is_err(), "and no one reaches others' keys");
}

#[tokio::test]
async fn tls_is_believed_by_its_ca_only() {
    let dir = tempfile::tempdir().unwrap();
    certificates(dir.path());
    let path = |name: &str| dir.path().join(name).display().to_string();
    let port = tests::free_port().to_string();
    let _server = RedisServer::start_with(&[
        "--appendonly",
        "yes",
        "--appendfsync",
        "always",
        "--tls-port",
        &port,
        "--tls-cert-file",
        &path("server.pem"),
        "--tls-key-file",
        &path("server.key"),
        "--tls-ca-cert-file",
        &path("ca.pem"),
        "--tls-auth-clients",
        "no",
    ]);
    let url = format!("rediss://127.0.0.1:{port}/0");
    let mut options = Options::new(&url, "tls", false);
    assert!(Redis::connect(&options).await.is_err(), "unknown to the system's roots");
    options.ca_file = Some(dir.path().join("ca.pem"));
    let ledger = Redis::connect(&options).await.unwrap();
    assert!(ledger.now().await.is_ok());
    options.ca_file = Some(dir.path().join("server.key"));
    let Err(error) = Redis::connect(&options).await else { panic!("a key is no CA") };
    let chain = format!("{:#}", anyhow::Error::from(error));
    assert!(chain.contains("holds no certificate"), "{chain}");
}

/// A CA and a server certificate for 127.0.0.1.
fn certificates(dir: &Path) {
    let script = "
        openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 \
            -subj /CN=ca -keyout ca.key -out ca.pem
        openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=redis \
            -keyout server.key -out server.csr
        printf 'subjectAltName=IP:127.0.0.1' >ext
        openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 \
            -extfile ext -out server.pem";
    let made = Command::new("sh").args(["-ec", script]).current_dir(dir).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_promoted_replica_has_every_granted_intent_and_is_fenced() {
    let durable = ["--appendonly", "yes", "--appendfsync", "everysec", "--min-replicas-to-write"];
    let with = |n: &'static str| durable.iter().copied().chain([n]).collect::<Vec<_>>();
    let mut primary = RedisServer::start_on_port(&with("1"));
    let of = format!("127.0.0.1 {}", primary.port());
    let mut settings = with("0");
    settings.extend(["--replicaof", &of]);
    let _replica = RedisServer::start_on_port(&settings);
    until("the replica in step", || {
        primary.command(&["INFO", "replication"]).contains("min_slaves_good_slaves:1").then_some(())
    });
    let sentinel = RedisServer::sentinel(primary.port());
    let url = format!("redis+sentinel://127.0.0.1:{}/morning", sentinel.port());
    let options = Options { replicas: 1, ..Options::new(&url, "failover", false) };
    let ledger = Redis::connect(&options).await.unwrap();
    let stage = Stage::new(&ledger, "failover", 3).await;
    stage.plan().await;
    let index = stage.fly(7).await;
    let before = ledger.incarnation().await.unwrap();

    primary.kill();
    let after = until("the ledger moved to the replica", || {
        let found = block_on(ledger.incarnation()).ok();
        found.filter(|found| *found != before)
    });
    let facts = ledger::api::find(&ledger, &stage.id(index)).await.unwrap().unwrap().facts;
    assert!(facts.attempt(7.into()).is_some(), "the intent waited for the replica");
    let claims = ledger.claim(&stage.lane, 5).await;
    assert!(matches!(claims, Err(LedgerError::StoreRestarted { .. })), "{claims:?}");
    ledger.lift_fence(&after.unwrap()).await.unwrap();
    let claim = stage.claim(1).await.remove(0);
    let (id, lease_token, nonce) = (claim.id, claim.lease_token, 8.into());
    let request = ledger::IntentRequest { id, lease_token, nonce, sent_as: None };
    let alone = ledger.intent(&[request]).await;
    assert!(alone.is_err(), "no replica is left to wait for: nothing is granted");
}

//! `biz_opaque_callback_data`: the only words of ours that come back with a status.
//!
//! `2.<run>.<index>.<nonce>.<tag>`, at most 512 characters, no personal data. The tag is
//! an HMAC keyed by app secret and installation: a status for another delivery cannot be
//! made up by someone who shares the app, and that of another installation on the same app
//! is not ours. Tags of version 1 know no installation: they count for attempts that the
//! store holds, and no others.
//! Source: Meta, "messages" API and webhook reference (≤ 512 characters, 2024 on).

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::facts::Nonce;
use crate::run::DeliveryId;

/// The keys that tag callback data under one app secret. Never printed.
#[derive(Clone)]
pub struct CallbackKey {
    present: Hmac<Sha256>,
    /// Of tags that were made before there were installations.
    first: Hmac<Sha256>,
}

impl CallbackKey {
    /// Derives the keys, so that the app secret itself signs only webhooks.
    pub fn derive(app_secret: &[u8], installation: &str) -> Self {
        let key = |purpose: &[u8]| {
            let mut mac =
                Hmac::<Sha256>::new_from_slice(app_secret).expect("HMAC takes any key length");
            mac.update(purpose);
            let key = mac.finalize().into_bytes();
            Hmac::new_from_slice(&key).expect("HMAC takes any key length")
        };
        let present = format!("subah callback data v2 {installation}");
        CallbackKey { present: key(present.as_bytes()), first: key(b"subah callback data v1") }
    }

    fn tag(&self, claim: &str) -> [u8; 8] {
        let mut mac = self.present.clone();
        mac.update(claim.as_bytes());
        let full = mac.finalize().into_bytes();
        full[..8].try_into().expect("a SHA-256 HMAC has 32 bytes")
    }
}

impl fmt::Debug for CallbackKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CallbackKey(hidden)")
    }
}

/// Which attempt a status speaks of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Callback {
    pub delivery: DeliveryId,
    pub nonce: Nonce,
}

/// How much a tag proves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// This installation made it.
    Ours,
    /// Somebody with the app secret made it, before there were installations.
    First,
}

/// Callback data that is not ours: another program's, another installation's, or forged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not tagged by this installation")]
pub struct Foreign;

impl Callback {
    pub fn encode(&self, key: &CallbackKey) -> String {
        let claim = format!("2.{}.{}.{}", self.delivery.run, self.delivery.index, self.nonce);
        let tag = hex::encode(key.tag(&claim));
        format!("{claim}.{tag}")
    }

    /// # Errors
    /// When the form or the tag is not ours.
    pub fn decode(text: &str, key: &CallbackKey) -> Result<(Callback, Proof), Foreign> {
        let (claim, tag) = text.rsplit_once('.').ok_or(Foreign)?;
        let (proof, callback) = parse(claim).ok_or(Foreign)?;
        let mut given = [0u8; 8];
        hex::decode_to_slice(tag, &mut given).map_err(|_| Foreign)?;
        let mut mac = match proof {
            Proof::Ours => key.present.clone(),
            Proof::First => key.first.clone(),
        };
        mac.update(claim.as_bytes());
        mac.verify_truncated_left(&given).map_err(|_| Foreign)?;
        Ok((callback, proof))
    }

    /// Reads the claim without checking its tag: for the simulator's oracle, which counts
    /// and does not believe.
    pub fn peek(text: &str) -> Option<Callback> {
        parse(text.rsplit_once('.')?.0).map(|(_, callback)| callback)
    }
}

fn parse(claim: &str) -> Option<(Proof, Callback)> {
    let mut parts = claim.split('.');
    let (version, run, index, nonce) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let proof = match version {
        "2" => Proof::Ours,
        "1" => Proof::First,
        _ => return None,
    };
    if parts.next().is_some() {
        return None;
    }
    let delivery = DeliveryId { run: run.parse().ok()?, index: index.parse().ok()? };
    Some((proof, Callback { delivery, nonce: nonce.parse().ok()? }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn callback() -> Callback {
        let delivery = "daily-pack@2026-11-21#417".parse().unwrap();
        Callback { delivery, nonce: 0x1234.into() }
    }

    #[test]
    fn what_was_encoded_comes_back() {
        let key = CallbackKey::derive(b"app secret", "a1");
        let text = callback().encode(&key);
        assert!(text.starts_with("2.daily-pack@2026-11-21.417.0000000000001234."), "{text}");
        assert!(text.len() <= 512);
        assert_eq!(Callback::decode(&text, &key), Ok((callback(), Proof::Ours)));
    }

    #[test]
    fn other_installations_programs_and_forgers_are_foreign() {
        let key = CallbackKey::derive(b"app secret", "a1");
        let text = callback().encode(&key);
        let moved = text.replace(".417.", ".418.");
        assert_eq!(Callback::decode(&moved, &key), Err(Foreign));
        for other in
            [CallbackKey::derive(b"another", "a1"), CallbackKey::derive(b"app secret", "b2")]
        {
            assert_eq!(Callback::decode(&text, &other), Err(Foreign));
        }
        for foreign in
            ["", "tracker", "job:8f1c/att:1", "3.a@2026-11-21.1.0000000000001234.00", "...."]
        {
            assert_eq!(Callback::decode(foreign, &key), Err(Foreign), "{foreign}");
        }
    }

    #[test]
    fn tags_of_the_first_version_are_read_as_what_they_are() {
        // Made by the version before installations, with this very secret.
        let text = "1.daily-pack@2026-11-21.417.0000000000001234.";
        let key = CallbackKey::derive(b"app secret", "a1");
        let claim = text.trim_end_matches('.');
        let mut mac = key.first.clone();
        mac.update(claim.as_bytes());
        let tag = hex::encode(&mac.finalize().into_bytes()[..8]);
        let read = Callback::decode(&format!("{text}{tag}"), &key);
        assert_eq!(read, Ok((callback(), Proof::First)));
    }
}

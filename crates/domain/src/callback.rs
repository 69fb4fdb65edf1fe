//! `biz_opaque_callback_data`: the only words of ours that come back with a status.
//!
//! `1.<run>.<index>.<nonce>.<tag>`, at most 512 characters, no personal data. The tag is
//! an HMAC, so a status for another delivery cannot be made up by someone who shares the
//! app. Source: Meta, "messages" API and webhook reference (≤ 512 characters, 2024 on).

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::facts::Nonce;
use crate::run::DeliveryId;

/// The key that tags callback data. Derived from the app secret; never printed.
#[derive(Clone)]
pub struct CallbackKey(Hmac<Sha256>);

impl CallbackKey {
    /// Derives the key, so that the app secret itself signs only webhooks.
    pub fn derive(app_secret: &[u8]) -> Self {
        let mut mac =
            Hmac::<Sha256>::new_from_slice(app_secret).expect("HMAC takes any key length");
        mac.update(b"subah callback data v1");
        let key = mac.finalize().into_bytes();
        CallbackKey(Hmac::new_from_slice(&key).expect("HMAC takes any key length"))
    }

    fn tag(&self, claim: &str) -> [u8; 8] {
        let mut mac = self.0.clone();
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

/// Why callback data was not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadCallback {
    /// Another program's data on the same account: normal.
    #[error("not in our form 1.<run>.<index>.<nonce>.<tag>")]
    Foreign,
    #[error("its tag does not match: forged, or made with another app secret")]
    BadTag,
}

impl Callback {
    pub fn encode(&self, key: &CallbackKey) -> String {
        let claim = format!("1.{}.{}.{}", self.delivery.run, self.delivery.index, self.nonce);
        let tag = hex::encode(key.tag(&claim));
        format!("{claim}.{tag}")
    }

    /// # Errors
    /// [`BadCallback::Foreign`] when the form is not ours, [`BadCallback::BadTag`] when it
    /// is but the tag is wrong.
    pub fn decode(text: &str, key: &CallbackKey) -> Result<Callback, BadCallback> {
        let (claim, tag) = text.rsplit_once('.').ok_or(BadCallback::Foreign)?;
        let callback = parse(claim).ok_or(BadCallback::Foreign)?;
        let mut given = [0u8; 8];
        hex::decode_to_slice(tag, &mut given).map_err(|_| BadCallback::BadTag)?;
        let mut mac = key.0.clone();
        mac.update(claim.as_bytes());
        mac.verify_truncated_left(&given).map_err(|_| BadCallback::BadTag)?;
        Ok(callback)
    }

    /// Reads the claim without checking its tag: for the simulator's oracle, which counts
    /// and does not believe.
    pub fn peek(text: &str) -> Option<Callback> {
        parse(text.rsplit_once('.')?.0)
    }
}

fn parse(claim: &str) -> Option<Callback> {
    let mut parts = claim.split('.');
    let (version, run, index, nonce) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    if version != "1" || parts.next().is_some() {
        return None;
    }
    let delivery = DeliveryId { run: run.parse().ok()?, index: index.parse().ok()? };
    Some(Callback { delivery, nonce: nonce.parse().ok()? })
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
        let key = CallbackKey::derive(b"app secret");
        let text = callback().encode(&key);
        assert!(text.starts_with("1.daily-pack@2026-11-21.417.0000000000001234."), "{text}");
        assert!(text.len() <= 512);
        assert_eq!(Callback::decode(&text, &key), Ok(callback()));
    }

    #[test]
    fn forged_and_foreign_data_are_told_apart() {
        let key = CallbackKey::derive(b"app secret");
        let text = callback().encode(&key);
        let moved = text.replace(".417.", ".418.");
        assert_eq!(Callback::decode(&moved, &key), Err(BadCallback::BadTag));
        let other = CallbackKey::derive(b"another secret");
        assert_eq!(Callback::decode(&text, &other), Err(BadCallback::BadTag));
        for foreign in
            ["", "tracker", "job:8f1c/att:1", "2.a@2026-11-21.1.0000000000001234.00", "...."]
        {
            assert_eq!(Callback::decode(foreign, &key), Err(BadCallback::Foreign), "{foreign}");
        }
    }
}

//! Secrets that let somebody in: 256 random bits, so that a plain hash of them is enough. Slow hashes are
//! for passwords, which people think of. Source: OWASP, Password Storage and Session Management.

use std::fmt;

use domain::hash::sha256_hex;
use rand::{Rng, RngExt};
use secrecy::{ExposeSecret, SecretString};

/// A secret as it is handed over, once. `kind_hex`: `sbk_…` is a key, `sbs_…` a session; whoever finds
/// one in a log or a repository sees what was lost.
pub struct Secret(SecretString);

impl Secret {
    pub(crate) fn new(kind: &str, rng: &mut impl Rng) -> Self {
        let random: [u8; 32] = rng.random();
        Secret(SecretString::from(format!("{kind}_{}", hex::encode(random))))
    }

    /// As somebody sent it; `None`: it is no secret of that kind.
    pub(crate) fn read(kind: &str, text: &str) -> Option<Self> {
        let random = text.strip_prefix(kind)?.strip_prefix('_')?;
        let is_hex = random.len() == 64
            && random.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        is_hex.then(|| Secret(SecretString::from(text)))
    }

    /// What is kept. Looked up by this hash, so that no comparison's time tells anything of the secret.
    pub(crate) fn hash(&self) -> String {
        sha256_hex(self.0.expose_secret().as_bytes())
    }

    /// For whoever asked for the secret to be made.
    pub fn reveal(&self) -> &str {
        self.0.expose_secret()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

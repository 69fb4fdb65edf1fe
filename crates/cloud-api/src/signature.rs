//! `X-Hub-Signature-256`: Meta's word that a body is from Meta.
//!
//! HMAC-SHA256 of the raw bytes with the app secret, before any parsing: re-serialised
//! JSON does not match, because Meta escapes what serde does not.
//! Source: Meta, "Webhooks — validating payloads".

use hmac::{Hmac, KeyInit, Mac};
use provider::BadSignature;
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;

pub const HEADER: &str = "x-hub-signature-256";

/// No header of ours to look for.
pub const MISSING: BadSignature =
    BadSignature::Missing { header: "X-Hub-Signature-256", form: "sha256=<64 hex digits>" };

/// Checks in constant time against each secret: two are valid while one is rotated.
///
/// # Errors
/// When the header is missing or malformed, or no secret matches.
pub fn verify(
    secrets: &[SecretString],
    body: &[u8],
    header: Option<&str>,
) -> Result<(), BadSignature> {
    let digits = header.and_then(|h| h.strip_prefix("sha256=")).ok_or(MISSING)?;
    let mut given = [0u8; 32];
    hex::decode_to_slice(digits.trim(), &mut given).map_err(|_| MISSING)?;
    let matches = |secret: &SecretString| mac(secret, body).verify_slice(&given).is_ok();
    if secrets.iter().any(matches) { Ok(()) } else { Err(BadSignature::Mismatch) }
}

/// Whether a header's value can be a signature at all: asked before a body is read.
pub fn is_well_formed(header: &str) -> bool {
    let digits = header.strip_prefix("sha256=").map(str::trim);
    digits.is_some_and(|digits| digits.len() == 64 && digits.bytes().all(|b| b.is_ascii_hexdigit()))
}

/// The header's value for a body: what Meta, and our simulator, send.
pub fn sign(secret: &SecretString, body: &[u8]) -> String {
    format!("sha256={}", hex::encode(mac(secret, body).finalize().into_bytes()))
}

fn mac(secret: &SecretString, body: &[u8]) -> Hmac<Sha256> {
    let key = secret.expose_secret().as_bytes();
    let mut mac = Hmac::new_from_slice(key).expect("HMAC takes any key length");
    mac.update(body);
    mac
}

/// Compares two texts in time that depends only on their lengths: verify tokens.
pub fn same(a: &str, b: &str) -> bool {
    let key = SecretString::from("compare");
    mac(&key, a.as_bytes()).verify_slice(&mac(&key, b.as_bytes()).finalize().into_bytes()).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_believed_only_with_its_own_signature() {
        let secrets = [SecretString::from("old"), SecretString::from("new")];
        let body = br#"{"entry":[],"text":"\u0928\u092e\/"}"#;
        let header = sign(&secrets[1], body);
        assert_eq!(verify(&secrets, body, Some(&header)), Ok(()));
        assert_eq!(verify(&secrets[..1], body, Some(&header)), Err(BadSignature::Mismatch));
        let changed = br#"{"entry":[],"text":"\u0928\u092e/"}"#;
        assert_eq!(verify(&secrets, changed, Some(&header)), Err(BadSignature::Mismatch));
        for bad in [None, Some(""), Some("sha256="), Some("sha1=00"), Some("sha256=zz")] {
            assert_eq!(verify(&secrets, body, bad), Err(MISSING), "{bad:?}");
        }
    }

    #[test]
    fn the_signature_is_rfc_4231s() {
        // RFC 4231, test case 2.
        let want = "sha256=5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        assert_eq!(sign(&SecretString::from("Jefe"), b"what do ya want for nothing?"), want);
    }
}

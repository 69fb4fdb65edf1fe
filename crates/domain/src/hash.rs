//! Stable hashes: the same inputs give the same plan on every machine and version.
//!
//! SHA-256 seeds, SplitMix64 mixes. Not for secrets.

use sha2::{Digest, Sha256};

/// 64 bits of SHA-256 over the parts, each followed by a zero byte so that
/// `["ab", "c"]` and `["a", "bc"]` differ.
pub fn stable64(parts: &[&str]) -> u64 {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update(part.as_bytes());
        hasher.update([0]);
    }
    let digest = hasher.finalize();
    u64::from_be_bytes(digest[..8].try_into().expect("a SHA-256 digest has 32 bytes"))
}

/// SHA-256 in lower-case hex.
pub fn sha256_hex(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// Takes SHA-256 of what is written to it, so that no text need be held for its hash.
#[derive(Default)]
pub struct HashWriter(Sha256);

impl HashWriter {
    /// Lower-case hex.
    pub fn hex(self) -> String {
        hex::encode(self.0.finalize())
    }
}

impl std::io::Write for HashWriter {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// SplitMix64's finaliser: a bijection that spreads close inputs far apart.
pub const fn mix64(mut x: u64) -> u64 {
    x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// Maps a hash to `[0, 1)` with 53 bits.
pub fn unit(hash: u64) -> f64 {
    (hash >> 11) as f64 / (1u64 << 53) as f64
}

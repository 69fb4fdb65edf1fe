//! One record: `len u32 · crc32c u32 · payload`, little endian. The checksum covers the
//! payload.

/// Anything larger in a segment is damage: the largest record is a webhook body of 3 MB
/// with its head.
pub const PAYLOAD_BYTES_MAX: usize = 3 * 1024 * 1024 + 64;
const HEAD_BYTES: usize = 8;

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadFrame {
    /// The segment ends within the frame: not written yet, or torn.
    #[error("the segment ends within a record")]
    Short,
    #[error("a record's checksum does not match")]
    Damaged,
}

/// Appends a frame to `out`.
///
/// # Panics
/// When the payload is larger than [`PAYLOAD_BYTES_MAX`]: callers bound what they write.
pub fn encode(payload: &[u8], out: &mut Vec<u8>) {
    assert!(payload.len() <= PAYLOAD_BYTES_MAX, "a record of {} bytes", payload.len());
    let len = u32::try_from(payload.len()).expect("far below 4 GiB");
    out.extend(len.to_le_bytes());
    out.extend(crc32c::crc32c(payload).to_le_bytes());
    out.extend(payload);
}

/// Reads the first frame; returns its payload and its size in bytes.
///
/// # Errors
/// When the bytes end too early, or are not what was written.
pub fn decode(bytes: &[u8]) -> Result<(&[u8], usize), BadFrame> {
    let head = bytes.get(..HEAD_BYTES).ok_or(BadFrame::Short)?;
    let len = u32::from_le_bytes(head[..4].try_into().expect("four bytes")) as usize;
    let sum = u32::from_le_bytes(head[4..].try_into().expect("four bytes"));
    // No record of ours is empty; zeros are what an unwritten block reads as.
    if len == 0 || len > PAYLOAD_BYTES_MAX {
        return Err(BadFrame::Damaged);
    }
    let payload = bytes.get(HEAD_BYTES..HEAD_BYTES + len).ok_or(BadFrame::Short)?;
    if crc32c::crc32c(payload) != sum {
        return Err(BadFrame::Damaged);
    }
    Ok((payload, HEAD_BYTES + len))
}

/// How many bytes from the start are whole frames.
pub fn whole_bytes(bytes: &[u8]) -> usize {
    let mut whole = 0;
    while let Ok((_, size)) = decode(&bytes[whole..]) {
        whole += size;
    }
    whole
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_was_written_is_read_and_damage_never_is(
            payloads in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..40), 1..6),
            cut in any::<proptest::sample::Index>(),
            flip in any::<proptest::sample::Index>(),
        ) {
            let mut bytes = Vec::new();
            payloads.iter().for_each(|payload| encode(payload, &mut bytes));
            prop_assert_eq!(whole_bytes(&bytes), bytes.len());
            prop_assert!(whole_bytes(&bytes[..cut.index(bytes.len())]) < bytes.len());
            let at = flip.index(bytes.len());
            bytes[at] ^= 1;
            prop_assert!(whole_bytes(&bytes) <= at, "a flipped bit was read as a record");
        }
    }
}

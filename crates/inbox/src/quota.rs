//! How much the inbox may take. Pure.
//!
//! Its records are kept for [`retention::NEWS`], so the quota follows what is planned a day and
//! how many bytes of webhooks a delivery is seen to bring: room for twice of that, because a full
//! inbox stands still, and an attacker's or a provider's flood must still end somewhere.

use domain::retention;

const DAY_SECS: u64 = 24 * 3_600;
const GIB: u64 = 1024 * 1024 * 1024;
/// Three statuses with their envelopes, while too few have been seen to know.
const BYTES_EACH: u64 = 3_000;
const BYTES_EACH_BOUNDS: std::ops::RangeInclusive<u64> = 500..=65_536;
/// Deliveries after which what they bring is taken from what was seen.
const KNOWN_FROM: u64 = 1_000;

/// What is known when the quota is set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Volume {
    /// Bytes that the inbox holds.
    pub held: u64,
    /// Deliveries of the runs whose webhooks it holds.
    pub deliveries: u64,
    /// Deliveries of the fullest of these days.
    pub fullest_day: u64,
    /// Bytes that are free on its disk.
    pub free: u64,
}

/// Bytes: at least one GiB, at most four fifths of what the disk could give.
pub fn quota(volume: Volume) -> u64 {
    let Volume { held, deliveries, fullest_day, free } = volume;
    let seen = held.checked_div(deliveries).filter(|_| deliveries >= KNOWN_FROM);
    let (least, most) = BYTES_EACH_BOUNDS.into_inner();
    let each = seen.unwrap_or(BYTES_EACH).clamp(least, most);
    let days = retention::NEWS.as_secs() / DAY_SECS;
    let wanted = fullest_day.saturating_mul(each).saturating_mul(2 * days);
    wanted.max(GIB).min((held.saturating_add(free) / 5).saturating_mul(4))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_quota_follows_the_volume_and_leaves_the_disk_some_room() {
        let free = 100 * GIB;
        let of = |volume| quota(Volume { free, ..volume });
        assert_eq!(of(Volume::default()), GIB, "a new installation");
        let small = Volume { fullest_day: 2_000, deliveries: 16_000, held: 48_000_000, free };
        assert_eq!(of(small), GIB, "2,000 a day need less than the least");
        let million = Volume { fullest_day: 1_000_000, ..Volume::default() };
        assert_eq!(of(million), 48_000_000_000, "eight days, twice, 3,000 bytes each");
        let seen = Volume { deliveries: 8_000_000, held: 8_000_000_000, ..million };
        assert_eq!(of(seen), 16_000_000_000, "1,000 bytes each were seen");
        let tight = Volume { free: GIB, ..million };
        assert_eq!(quota(tight), GIB / 5 * 4, "never the last of the disk");
        let flood = Volume { deliveries: 1_000, held: GIB, ..small };
        assert!(of(flood) <= 2_000 * 65_536 * 16, "a flood does not buy itself room");
    }
}

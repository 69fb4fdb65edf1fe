//! The receiving host: webhooks in, as its disk and its network let them.

use std::sync::{Arc, Mutex};

use domain::Clock;
use tokio::time::Instant;

use super::disks::InboxDisk;
use super::life::Life;
use super::store::Told;
use super::{SkewedClock, World};

/// The receiving host.
pub struct Receiver {
    pub world: Arc<World>,
    pub disk: Arc<Mutex<InboxDisk>>,
    pub life: Mutex<Arc<Life>>,
    pub told: Mutex<Told>,
    pub cut_off_until: Mutex<Option<Instant>>,
    /// Its clock minus the world's, microseconds.
    pub skew: i64,
}

impl Receiver {
    /// Takes one webhook; false when the far side has to come again.
    pub async fn take(&self, body: &[u8]) -> bool {
        let cut_off = self.cut_off_until.lock().expect("one thread");
        let reachable = cut_off.is_none_or(|until| until <= Instant::now());
        drop(cut_off);
        if !reachable || !self.life.lock().expect("one thread").is_up() {
            return false;
        }
        let now = SkewedClock { world: Arc::clone(&self.world), ahead: self.skew }.now();
        self.disk.lock().expect("one thread").append(now, body.to_vec());
        !self.world.chance(self.world.setup.chaos.rates().lost_reply)
    }
}

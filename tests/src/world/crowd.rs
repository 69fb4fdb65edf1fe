//! Many people say STOP while the morning goes on: those whose messages wait, are under way, or are
//! there.

use std::sync::Arc;
use std::time::Duration;

use rand::RngExt;

use super::World;
use super::far::Far;
use super::host::{numbers, phone};

/// From the first plan to the deadline, in which each picks an instant.
const WITHIN: Duration = Duration::from_secs(120);
/// How long a STOP may take from a webhook that was answered to the last send, where no process dies and
/// no store goes away: the reader of people, one sweep of the person's rows, what was granted before.
pub const HEARD_WITHIN: Duration = Duration::from_secs(10);

/// Lets them speak, each once.
pub async fn speaks(world: Arc<World>, far: Arc<Far>) {
    let lanes = numbers();
    for n in 0..world.setup.stops {
        let wait = world.span(WITHIN);
        let lane = world.draw(|rng| rng.random_range(0..lanes.len()));
        far.stop(&phone(n), &lanes[lane].id, wait);
    }
}

//! How far a run is, on a terminal; nothing where there is none.

use std::sync::OnceLock;

use domain::State;
use indicatif::{ProgressBar, ProgressStyle};
use ledger::{Counts, Run};

/// Begins when there is something to show.
#[derive(Default)]
pub struct Bar(OnceLock<ProgressBar>);

impl Bar {
    pub fn show(&self, run: &Run, counts: &Counts) {
        let bar = self.0.get_or_init(|| progress(run));
        let get = |state| counts.get(state);
        let arrived = get(State::Delivered) + get(State::Read);
        let taken = arrived + get(State::Sent) + get(State::Accepted) + get(State::Held);
        let failed = get(State::Failed) + get(State::Unknown) + get(State::Expired);
        let open = counts.open();
        bar.set_position(arrived);
        bar.set_message(format!("delivered · {taken} accepted · {failed} failed · {open} open"));
    }

    pub fn clear(&self) {
        self.0.get().into_iter().for_each(ProgressBar::finish_and_clear);
    }
}

fn progress(run: &Run) -> ProgressBar {
    let bar = ProgressBar::new(u64::from(run.header.total));
    let style = ProgressStyle::with_template("{elapsed:>4} {bar:40.green} {pos}/{len} {msg}");
    bar.set_style(style.expect("the template is valid"));
    bar
}

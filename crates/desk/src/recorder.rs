//! Brings what people say over webhooks into the records. The ledger has honoured it already
//! ([`status::people`]): records that are away for hours hold up nobody's STOP.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use domain::campaign::Category;
use domain::{Clock, TenantId, Timestamp};
use inbox::endpoint::Endpoints;
use inbox::{LogError, Position, Record, Round, Source};
use ledger::opt_outs::{self, Of};
use rand::rngs::StdRng;
use records::consents::{self, Saying, Wish};
use records::people::PersonId;
use records::{Records, RecordsError, people, tenants};
use status::people::{Heard, hear};
use telemetry::labels::Loop;
use telemetry::{Fault, Metrics};
use tokio_util::sync::CancellationToken;

/// How often it is looked for what people say.
const EVERY: Duration = Duration::from_secs(1);

pub struct Recorder {
    pub records: Records,
    pub clock: Arc<dyn Clock>,
    pub metrics: Arc<Metrics>,
    pub rng: Mutex<StdRng>,
    pub endpoints: Endpoints,
    pub tenant: TenantId,
}

#[derive(Debug, thiserror::Error)]
pub enum RecorderError {
    #[error(transparent)]
    Records(#[from] RecordsError),
    #[error(transparent)]
    Inbox(#[from] LogError),
}

impl Recorder {
    /// Records what comes in until `stop`. What cannot be recorded now stays in the inbox. Nobody waits
    /// for the recorder, so it looks once a second and not with each webhook.
    pub async fn run(&self, source: &mut dyn Source, stop: CancellationToken) {
        let (mut fault, mut noted) = (Fault::default(), source.position());
        loop {
            let round = match self.round(source, &mut noted).await {
                Ok(round) => {
                    if let Some(met) = fault.over() {
                        tracing::info!("what people say is recorded again; {met} tries had failed");
                    }
                    let now = self.clock.now().secs_f64();
                    self.metrics.process.loop_success.of(Loop::Recorder).set(now);
                    round
                }
                Err(error) => {
                    if fault.met(&error.to_string()) {
                        tracing::error!(error = %error, "what people say waits in the inbox to be recorded: {error}");
                    }
                    Round::Halted
                }
            };
            if round == Round::Applied {
                continue;
            }
            if stop.run_until_cancelled(tokio::time::sleep(EVERY)).await.is_none() {
                return;
            }
        }
    }

    /// One batch. The place behind batches without a word for the records is noted with the last of
    /// them: reading them once more costs nothing.
    async fn round(
        &self,
        source: &mut dyn Source,
        noted: &mut Position,
    ) -> Result<Round, RecorderError> {
        let before = source.position();
        let bodies = source.next_batch()?;
        if bodies.is_empty() {
            if *noted != before {
                source.applied()?;
                *noted = before;
            }
            return Ok(Round::Empty);
        }
        let heard: Vec<Heard> = bodies.iter().flat_map(|body| self.hear(body)).collect();
        if heard.is_empty() {
            return Ok(Round::Applied);
        }
        if let Err(error) = self.keep(&heard).await {
            source.rewind(before);
            return Err(error.into());
        }
        source.applied()?;
        *noted = source.position();
        Ok(Round::Applied)
    }

    fn hear(&self, body: &Record) -> Vec<Heard> {
        hear(&self.endpoints, body, body.received_at)
    }

    async fn keep(&self, heard: &[Heard]) -> records::Result<u64> {
        let now = self.clock.now();
        let doing = "record what people said";
        let mut rng = crate::fork(&self.rng);
        let mut tx = self.records.begin(doing).await?;
        tenants::ensure(&mut tx, &self.tenant, now).await?;
        let who: Vec<_> = heard.iter().map(|heard| &heard.who).collect();
        let people = people::ensure(&mut tx, &self.tenant, &who, now, &mut rng).await?;
        let sayings: Vec<Saying> =
            heard.iter().zip(&people).flat_map(|(heard, who)| sayings(heard, who)).collect();
        let new = consents::add(&mut tx, &self.tenant, &sayings, now, &mut rng).await?;
        tx.commit(doing).await?;
        Ok(new)
    }
}

fn sayings<'a>(heard: &'a Heard, person: &'a PersonId) -> impl Iterator<Item = Saying> + 'a {
    let wish = match heard.wish {
        opt_outs::Wish::Stop => Wish::Withdrawn,
        opt_outs::Wish::Resume => Wish::Given,
    };
    let at: Timestamp = heard.at;
    let of: Of = heard.of;
    Category::ALL.into_iter().filter(move |category| of.concerns(*category)).map(move |category| {
        Saying {
            person: person.clone(),
            category,
            wish,
            said_at: at,
            source: heard.source.to_owned(),
            proof: heard.proof.clone(),
            actor: "the person".to_owned(),
        }
    })
}

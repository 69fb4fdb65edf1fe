//! Plays a scenario beside a rehearsal: changes what the far side says, lets people write, and has
//! the keepers of templates and numbers watch, as the daemon does.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use config::Config;
use daemon::parts::Parts;
use daemon::{number_keeper, template_keeper};
use domain::{Clock, RunId, SystemClock, Timestamp};
use serde_json::{Map, Value, json};
use simulator::{Simulator, Teller};
use templates::TemplateDefinition;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::made_up;
use super::script::{Event, Scenario, Token};

/// The token that a rehearsal bears, and one that it does not.
const GOOD_TOKEN: &str = "rehearsal";
const OTHER_TOKEN: &str = "revoked";

/// What the far side reads for each request.
#[derive(Clone, Default)]
struct Files {
    templates: PathBuf,
    numbers: PathBuf,
    token: PathBuf,
}

pub struct Stage {
    scenario: Scenario,
    /// The shape that all versions have.
    template: TemplateDefinition,
    files: Files,
}

/// A stage on which something happens.
pub struct Playing {
    stop: CancellationToken,
    tasks: Vec<JoinHandle<()>>,
}

impl Playing {
    pub async fn end(self) {
        self.stop.cancel();
        for task in self.tasks {
            let _ = task.await; // a keeper that died is in the log
        }
    }
}

impl Stage {
    pub fn new(scenario: Scenario, template: TemplateDefinition) -> Self {
        Stage { scenario, template, files: Files::default() }
    }

    /// Writes how things stand at the beginning, and has the far side read it.
    pub fn set(&mut self, dir: &Path, options: &mut simulator::Options) -> Result<()> {
        self.files = Files {
            templates: dir.join("templates.json"),
            numbers: dir.join("numbers.json"),
            token: dir.join("token"),
        };
        self.write()?;
        std::fs::write(&self.files.token, GOOD_TOKEN).context("write the far side's token")?;
        options.token_file = Some(self.files.token.clone());
        options.numbers_file = Some(self.files.numbers.clone());
        if !self.scenario.templates.is_empty() {
            options.templates_file = Some(self.files.templates.clone());
        }
        if let Some(throughput) = self.scenario.far_side_throughput {
            options.numbers.iter_mut().for_each(|(_, taken)| *taken = throughput);
        }
        Ok(())
    }

    fn write(&self) -> Result<()> {
        let listed = self.scenario.templates.iter().map(|(name, at_meta)| {
            let template =
                TemplateDefinition { name: name.as_str().into(), ..self.template.clone() };
            json!({"status": at_meta.status, "category": at_meta.category,
                "quality": at_meta.quality, "template": template})
        });
        let listed = Value::from_iter(listed).to_string();
        std::fs::write(&self.files.templates, listed).context("write the far side's templates")?;
        let told = self.scenario.said.iter().map(|(n, told)| (number_of(n), told.clone()));
        let told = Value::Object(told.collect::<Map<_, _>>()).to_string();
        std::fs::write(&self.files.numbers, told).context("write the far side's numbers")
    }

    /// Begins to play; the run's window has not opened yet.
    pub fn play(
        self,
        config: &Config,
        parts: &Arc<Parts>,
        runs: &[RunId],
        simulator: &Simulator,
    ) -> Playing {
        let stop = CancellationToken::new();
        let config = Arc::new(config.clone());
        let (of_templates, of_numbers) = (Arc::clone(&config), Arc::clone(&config));
        let (one, other) = (Arc::clone(parts), Arc::clone(parts));
        let (stopped, ended) = (stop.clone(), stop.clone());
        let keepers = [
            tokio::spawn(async move { template_keeper::run(&of_templates, &one, stopped).await }),
            tokio::spawn(async move { number_keeper::run(&of_numbers, &other, ended).await }),
        ];
        let (parts, run, over) = (Arc::clone(parts), runs.first().cloned(), stop.clone());
        let teller = simulator.teller();
        let script = tokio::spawn(async move {
            tokio::select! {
                () = over.cancelled() => {}
                done = self.follow(&parts, run, &teller) => {
                    if let Err(error) = done {
                        tracing::error!("the scenario cannot be played to its end: {error:#}");
                    }
                }
            }
        });
        let mut tasks = vec![script];
        tasks.extend(keepers);
        Playing { stop, tasks }
    }

    async fn follow(mut self, parts: &Parts, run: Option<RunId>, teller: &Teller) -> Result<()> {
        let run = run.context("nothing is rehearsed")?;
        let run = parts.ledger.run(&run).await?.context("the run is not in the ledger")?;
        let opens = run.header.window.opens;
        let mut events = std::mem::take(&mut self.scenario.events);
        events.sort_by_key(|event| event.at);
        for event in events {
            wait_until(opens + event.at).await;
            self.happen(event, teller).await?;
        }
        Ok(())
    }

    async fn happen(&mut self, event: Event, teller: &Teller) -> Result<()> {
        let Event { templates, said, token, stop, .. } = event;
        let mut news = Vec::new();
        for (name, at_meta) in templates {
            news.push(template_news(&name, &at_meta.status));
            self.scenario.templates.insert(name, at_meta);
        }
        for (n, told) in said {
            news.push(number_news());
            self.scenario.said.insert(n, told);
        }
        self.write()?;
        if let Some(token) = token {
            let text = if token == Token::Revoked { OTHER_TOKEN } else { GOOD_TOKEN };
            std::fs::write(&self.files.token, text).context("write the far side's token")?;
        }
        news.extend(stop.into_iter().map(stop_of));
        for body in news {
            if !teller.tell(&body).await {
                tracing::error!("a webhook of the scenario was not taken");
            }
        }
        Ok(())
    }
}

fn number_of(count: &str) -> String {
    count.parse().map_or(count.to_owned(), made_up::number)
}

async fn wait_until(at: Timestamp) {
    let left = at.since(SystemClock.now());
    if left > Duration::ZERO {
        tokio::time::sleep(left).await;
    }
}

fn body(field: &str, value: &Value) -> Value {
    json!({"object": "whatsapp_business_account", "entry": [{"id": "102290129340398",
        "changes": [{"field": field, "value": value}]}]})
}

fn template_news(name: &str, status: &str) -> Value {
    let value = json!({"event": status, "message_template_id": 594_425_479_261_596_u64,
        "message_template_name": name, "message_template_language": "en", "reason": "NONE"});
    body("message_template_status_update", &value)
}

fn number_news() -> Value {
    let value = json!({"display_phone_number": "15550783881", "event": "DOWNGRADE",
        "current_limit": "TIER_10K"});
    body("phone_number_quality_update", &value)
}

fn stop_of(n: u32) -> Value {
    let phone = format!("91{}", made_up::phone(n));
    let now = SystemClock.now().secs().to_string();
    let value = json!({"messaging_product": "whatsapp",
        "metadata": {"display_phone_number": "15550783881", "phone_number_id": made_up::number(1)},
        "contacts": [{"profile": {"name": "somebody"}, "wa_id": phone}],
        "messages": [{"from": phone, "id": format!("wamid.stop{n}"), "timestamp": now,
            "type": "text", "text": {"body": "STOP"}}]});
    body("messages", &value)
}

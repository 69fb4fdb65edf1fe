//! Honours a STOP: on this host's disk first, then in the ledger for everybody who plans,
//! then in every delivery of that person which is still open.

use std::collections::{BTreeMap, HashMap};
use std::io::{BufRead, Write};
use std::path::PathBuf;
use std::sync::Mutex;

use domain::campaign::{CampaignId, Category};
use domain::event::{Inbound, Preference};
use domain::{Address, DeliveryId, RunId, Timestamp, consent};
use ledger::api::for_each;
use ledger::opt_outs::{self, Of, OptOuts, Said, Wish};
use ledger::{Amendment, Change, DeliveryView, Filter, Ledger, LedgerError, Phase, RunKind};

/// What somebody said. Personal data.
pub struct Heard {
    pub who: Address,
    pub of: Of,
    pub wish: Wish,
    pub at: Timestamp,
    /// `reply` or `preference`.
    pub source: &'static str,
    /// The message's id, or what else names the saying.
    pub proof: String,
}

impl Heard {
    pub fn is_stop(&self) -> bool {
        self.wish == Wish::Stop
    }

    /// As the ledger hears it: under each of the person's keys.
    fn said(&self) -> impl Iterator<Item = Said> + '_ {
        opt_outs::hashes(&self.who).map(|person| Said {
            person,
            of: self.of,
            wish: self.wish,
            at: self.at,
        })
    }
}

/// A reply in the words of a STOP, or of its end.
pub fn in_reply(message: &Inbound, received_at: Timestamp) -> Option<Heard> {
    let (who, text) = (message.from.clone()?, message.text.as_deref()?);
    let wish = if consent::is_stop(text) {
        Wish::Stop
    } else if consent::is_start(text) {
        Wish::Resume
    } else {
        return None;
    };
    let at = message.at.filter(|at| *at <= received_at).unwrap_or(received_at);
    let proof = match message.id.as_str() {
        "" => at.micros().to_string(),
        id => id.to_owned(),
    };
    Some(Heard { who, of: Of::All, wish, at, source: "reply", proof })
}

/// A choice in the app: it speaks of marketing messages.
pub fn in_preference(preference: &Preference, received_at: Timestamp) -> Option<Heard> {
    let wish = match preference.value.to_ascii_lowercase().as_str() {
        "stop" => Wish::Stop,
        "resume" => Wish::Resume,
        _ => return None,
    };
    let at = preference.at.filter(|at| *at <= received_at).unwrap_or(received_at);
    let of = match preference.category.contains("marketing") {
        true => Of::Only(Category::Marketing),
        false => Of::All,
    };
    let (who, proof) = (preference.who.clone()?, at.micros().to_string());
    Some(Heard { who, of, wish, at, source: "preference", proof })
}

/// Which consent the messages of each campaign need.
pub type Categories = BTreeMap<CampaignId, Category>;

/// Deliveries of a planned run by person.
type Persons = HashMap<String, Vec<u32>>;

pub struct OptOutDesk {
    /// Where STOPs are kept on this host's disk; `None` in a simulation.
    file: Option<PathBuf>,
    categories: Categories,
    /// Built when the first STOP comes while a run is open: its rows do not change.
    persons: Mutex<HashMap<RunId, Persons>>,
}

impl OptOutDesk {
    pub fn new(file: Option<PathBuf>, categories: Categories) -> Self {
        OptOutDesk { file, categories, persons: Mutex::default() }
    }

    /// Gives the ledger what this host's disk knows: it may have been emptied.
    ///
    /// # Errors
    /// When the ledger does not answer.
    pub async fn remember(&self, ledger: &dyn Ledger) -> Result<(), LedgerError> {
        let Some(file) = self.file.as_ref().and_then(|file| std::fs::File::open(file).ok()) else {
            return Ok(());
        };
        let mut said: Vec<Said> = Vec::new();
        for line in std::io::BufReader::new(file).lines().map_while(Result::ok) {
            said.extend(serde_json::from_str::<Said>(&line));
        }
        opt_outs::hear(ledger, &said).await
    }

    /// Honours them all; once more does no harm.
    ///
    /// # Errors
    /// When the ledger does not answer; nothing is lost, because the inbox keeps the body.
    pub async fn honour(&self, ledger: &dyn Ledger, heard: &[Heard]) -> Result<(), LedgerError> {
        if heard.is_empty() {
            return Ok(());
        }
        let said: Vec<Said> = heard.iter().flat_map(Heard::said).collect();
        self.keep(&said);
        self.tell(ledger, &said).await
    }

    /// Tells the ledger what people said, and ends what is still to be sent to whoever said STOP;
    /// once more does no harm.
    ///
    /// # Errors
    /// When the ledger does not answer.
    pub async fn tell(&self, ledger: &dyn Ledger, said: &[Said]) -> Result<(), LedgerError> {
        opt_outs::hear(ledger, said).await?;
        let stops = said.iter().filter(|said| said.wish == Wish::Stop);
        let people: Vec<(String, Of)> = stops.map(|stop| (stop.person.clone(), stop.of)).collect();
        self.end_open(ledger, &people).await
    }

    /// Honours what was said while a run was planned, from rows that did not know of it.
    ///
    /// # Errors
    /// When the ledger does not answer.
    pub async fn catch_up(&self, ledger: &dyn Ledger, begin: Timestamp) -> Result<(), LedgerError> {
        let people = OptOuts::read(ledger).await?.since(begin);
        self.end_open(ledger, &people).await
    }

    /// On this disk, synced. A disk that refuses does not keep the ledger from hearing.
    fn keep(&self, said: &[Said]) {
        let Some(path) = &self.file else { return };
        let mut lines = Vec::new();
        for one in said {
            serde_json::to_writer(&mut lines, one).expect("a Vec takes any text");
            lines.push(b'\n');
        }
        let kept = std::fs::File::options().create(true).append(true).open(path);
        let kept = kept.and_then(|mut file| file.write_all(&lines).and_then(|()| file.sync_data()));
        if let Err(error) = kept {
            tracing::error!(error = %error, "{} STOPs are only in the ledger, not in {}: {error}", said.len(), path.display());
        }
    }

    /// Ends what is still to be sent to these people.
    async fn end_open(
        &self,
        ledger: &dyn Ledger,
        people: &[(String, Of)],
    ) -> Result<(), LedgerError> {
        if people.is_empty() {
            return Ok(());
        }
        for run in ledger.active_runs().await? {
            let id = &run.header.id;
            if run.phase == Phase::Planning || run.phase == Phase::Closed {
                continue; // the planner asks once more when it has planned
            }
            // A campaign that we do not know may be of any category.
            let of_run =
                |(campaign, _): &(&CampaignId, &Category)| campaign.as_str() == id.campaign();
            let category = self.categories.iter().find(of_run).map(|(_, category)| *category);
            let concerned = people.iter().filter(|(_, of)| category.is_none_or(|c| of.concerns(c)));
            let concerned: Vec<String> = concerned.map(|(person, _)| person.clone()).collect();
            let found = match run.header.kind {
                RunKind::Rolling => ledger.to_people(id, &concerned).await?,
                RunKind::Planned => self.planned_for(ledger, id, &concerned).await?,
            };
            let amendment = |index| Amendment {
                id: DeliveryId { run: id.clone(), index },
                change: Change::OptOut,
                note: None,
            };
            let amendments: Vec<Amendment> = found.into_iter().map(amendment).collect();
            ledger.amend(&amendments).await?;
        }
        let open = ledger.active_runs().await?;
        let mut persons = self.persons.lock().expect("no panic while held");
        persons.retain(|id, _| open.iter().any(|run| run.header.id == *id));
        Ok(())
    }

    /// From memory: an index beside a million planned rows would cost more than one look at all
    /// of them.
    async fn planned_for(
        &self,
        ledger: &dyn Ledger,
        run: &RunId,
        people: &[String],
    ) -> Result<Vec<u32>, LedgerError> {
        self.know(ledger, run).await?;
        let persons = self.persons.lock().expect("no panic while held");
        let Some(persons) = persons.get(run) else { return Ok(Vec::new()) };
        Ok(people.iter().filter_map(|person| persons.get(person)).flatten().copied().collect())
    }

    async fn know(&self, ledger: &dyn Ledger, run: &RunId) -> Result<(), LedgerError> {
        if self.persons.lock().expect("no panic while held").contains_key(run) {
            return Ok(());
        }
        let mut persons = Persons::new();
        let learn = |delivery: &DeliveryView| {
            let to = delivery.message.as_ref().map(|message| &message.to);
            for person in to.into_iter().flat_map(opt_outs::hashes) {
                persons.entry(person).or_default().push(delivery.id.index);
            }
        };
        for_each(ledger, run, &Filter::default(), learn).await?;
        self.persons.lock().expect("no panic while held").insert(run.clone(), persons);
        Ok(())
    }
}

//! Turns a snapshot into deliveries. Pure: same snapshot, run and window, same plan.
//!
//! *When*: a hash of run and recipient, spread evenly over the slice of the recipient's
//! tier; slices follow the order of tiers and are as long as their share of recipients.
//! *Through which number*: weighted rendezvous hashing of the recipient alone, so the
//! same person hears from the same number every day, and a new number takes only its
//! share from the others.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use domain::campaign::Category;
use domain::facts::Ended;
use domain::hash::{mix64, stable64, unit};
use domain::outbound::{Asset, Media};
use domain::{NumberId, Recipient, RunId, Suppression, Timestamp, Window};
use ledger::{BodyHash, Envelope, PlanChunk, PlanRow};
use templates::definition::ButtonFormat;
use templates::lint::{Lint, Severity};
use templates::{ButtonCall, Header, Param, TemplateCall, TemplateDefinition};

use crate::campaign::{Campaign, Choice};
use crate::intake::Content;
use crate::intake::language::translation;
use crate::intake::names::first_name;
use crate::snapshot::{Row, Snapshot};

/// A recipient who is left out, and why; the detail names parts, never texts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftOut {
    pub index: u32,
    pub reason: Suppression,
    pub detail: String,
}

/// A snapshot on its way into the ledger.
pub struct Plan<'a> {
    pub snapshot: &'a Snapshot,
    pub run: RunId,
    pub window: Window,
    /// When approvals are judged.
    now: Timestamp,
    slices: Vec<Slice>,
    lanes: Vec<LaneHash>,
}

#[derive(Clone, Copy, Debug)]
struct Slice {
    start: Timestamp,
    length: Duration,
}

struct LaneHash {
    hash: u64,
    weight: f64,
}

/// One recipient's delivery, decided.
pub struct Planned {
    pub due_at: Timestamp,
    /// Position in the campaign's list of numbers; `None` when none takes recipients.
    pub lane: Option<u16>,
    pub call: Result<TemplateCall, LeftOut>,
    /// Nothing serves the recipient's own language, so the default does.
    pub fell_back: bool,
    pub choice: Choice,
}

impl<'a> Plan<'a> {
    pub fn new(snapshot: &'a Snapshot, run: RunId, window: Window, now: Timestamp) -> Self {
        let campaign = &snapshot.campaign;
        let lanes = campaign.numbers.iter().map(|number| LaneHash {
            hash: stable64(&["lane", number.id.as_str()]),
            weight: f64::from(number.weight),
        });
        let lanes = lanes.collect();
        Plan { slices: slices(snapshot, &window), snapshot, run, window, now, lanes }
    }

    pub fn total(&self) -> u32 {
        u32::try_from(self.snapshot.rows.len()).unwrap_or(u32::MAX)
    }

    /// Decides one recipient.
    pub fn at(&self, index: u32) -> Planned {
        let row = &self.snapshot.rows[index as usize];
        let lane = self.lane(row);
        let mut choice = Choice::Own;
        let call = match lane {
            None => Err((Suppression::NoNumber, "no number takes new recipients".to_owned())),
            Some(_) => self.call(row, &mut choice),
        };
        let call = call.map_err(|(reason, detail)| LeftOut { index, reason, detail });
        let translations = &self.snapshot.campaign.template_of(choice).languages;
        let language = &row.recipient.language;
        let fell_back = !language.is_empty() && translation(language, translations).is_none();
        Planned { due_at: self.due_at(row), lane, call, fell_back, choice }
    }

    /// Rows of the snapshot in the order of their deliveries: by when they are due, so that
    /// what is sent together lies together in the ledger.
    pub fn order(&self) -> Vec<u32> {
        let mut order: Vec<u32> = (0..self.total()).collect();
        order.sort_by_cached_key(|row| self.due_at(&self.snapshot.rows[*row as usize]));
        order
    }

    /// The deliveries of these rows for the ledger, the first of them numbered `from`;
    /// `media` says what became of the media that they name.
    pub fn chunk(&self, from: u32, rows: &[u32], media: &MediaIds) -> PlanChunk {
        let snapshot = self.snapshot.hash.clone();
        let mut chunk = PlanChunk { snapshot, from, ..PlanChunk::default() };
        for &index in rows {
            let recipient = &self.snapshot.rows[index as usize].recipient;
            let planned = self.at(index);
            let lane = planned.lane.unwrap_or(0);
            let number = &self.snapshot.campaign.numbers[usize::from(lane)].id;
            let suppressed = |reason| (BodyHash::default(), Some(Ended::Suppressed(reason)));
            let (body, ended) = match planned.call.map(|call| media.resolve(lane, number, call)) {
                Ok(Some(call)) => {
                    let text = serde_json::to_string(&call).expect("a call is plain data");
                    let hash = BodyHash::of(&text);
                    chunk.bodies.entry(hash.clone()).or_insert_with(|| Arc::from(text));
                    (hash, None)
                }
                Ok(None) => suppressed(Suppression::BadMedia),
                Err(left_out) => suppressed(left_out.reason),
            };
            let message =
                Envelope { recipient: recipient.id.clone(), to: recipient.address.clone(), body };
            chunk.rows.push(PlanRow { lane, due_at: planned.due_at, message, ended });
        }
        chunk
    }

    fn due_at(&self, row: &Row) -> Timestamp {
        let slice = self.slices[self.tier(&row.recipient)];
        let hash = stable64(&["due", self.run.as_str(), row.recipient.id.as_str()]);
        slice.start + slice.length.mul_f64(unit(hash))
    }

    fn tier(&self, recipient: &Recipient) -> usize {
        tier(&self.snapshot.campaign, recipient)
    }

    /// The number with the smallest −ln(u)/weight: each gets its share, and a change of one
    /// weight moves only recipients from or to that number.
    fn lane(&self, row: &Row) -> Option<u16> {
        let recipient = stable64(&["recipient", row.recipient.id.as_str()]);
        let score = |lane: &LaneHash| {
            let draw = unit(mix64(recipient ^ lane.hash)).max(f64::MIN_POSITIVE);
            -draw.ln() / lane.weight
        };
        let eligible = self.lanes.iter().enumerate().filter(|(_, lane)| lane.weight > 0.0);
        let best = eligible.min_by(|(_, a), (_, b)| score(a).total_cmp(&score(b)));
        best.and_then(|(at, _)| u16::try_from(at).ok())
    }

    fn call(&self, row: &Row, choice: &mut Choice) -> Result<TemplateCall, (Suppression, String)> {
        let campaign = &self.snapshot.campaign;
        let recipient = &row.recipient;
        let consent = match campaign.category {
            Category::Utility => recipient.consent_utility,
            Category::Marketing => recipient.consent_marketing,
        };
        if !consent {
            let detail = format!("no consent to {:?} messages", campaign.category).to_lowercase();
            return Err((Suppression::NoConsent, detail));
        }
        let content = self.snapshot.content(row).map_err(|error| {
            let place = (error.line(), error.column());
            let detail = format!("the stored content cannot be read, line and column {place:?}");
            (Suppression::ContentRefused, detail)
        })?;
        let Some(content) = content else {
            return Err((Suppression::NoContent, "no content for this recipient".to_owned()));
        };
        if let Some(why) = &content.held_back {
            let detail = format!("the content's row is refused: {why}");
            return Err((Suppression::ContentRefused, detail));
        }
        if !content.is_approved(self.now) {
            let detail = "approved_by or approved_at is missing, or lies in the future".to_owned();
            return Err((Suppression::NotApproved, detail));
        }
        *choice = campaign.choose(recipient, content.media.is_some());
        let template = campaign.template_of(*choice);
        let call = assemble(campaign, template, recipient, &content);
        let bad = |bad: String| (Suppression::BadParameters, bad);
        let call = template.fit(call).map_err(|error| bad(error.to_string()))?;
        shameful(&campaign.lint, &call).map_or(Ok(call), |text| Err(bad(text)))
    }
}

/// What nobody means to send, wherever its text came from.
fn shameful(lint: &Lint, call: &TemplateCall) -> Option<String> {
    let header = match &call.header {
        Some(Header::Text(param)) => Some(param),
        _ => None,
    };
    let texts = call.body.iter().chain(header).map(|param| {
        let name = param.name.as_deref().unwrap_or("parameter");
        (name.to_owned(), lint.text(&param.text))
    });
    let suffixes = call.buttons.iter().filter_map(|button| match button {
        ButtonCall::Url { index, suffix } => {
            Some((format!("button {index}"), lint.url_suffix(suffix)))
        }
        _ => None,
    });
    texts.chain(suffixes).find_map(|(name, found)| {
        let found = found.filter(|found| found.severity == Severity::Error)?;
        Some(format!("{name} {} [{}]", found.text, found.rule))
    })
}

/// Content fills the template; what it lacks comes from the recipient's own columns.
fn assemble(
    campaign: &Campaign,
    template: &TemplateDefinition,
    recipient: &Recipient,
    content: &Content,
) -> TemplateCall {
    let mut params: BTreeMap<&str, &str> =
        content.params.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    let language = translation(&recipient.language, &template.languages);
    let language = language.unwrap_or(&campaign.default_language);
    for name in &template.body_parameters {
        let attribute = |name: &str| recipient.attributes.get(name).map(String::as_str);
        let own = match name.as_str() {
            "name" => Some(recipient.name.as_str()),
            "first_name" => attribute("first_name").or_else(|| first_name(&recipient.name)),
            other => attribute(other),
        };
        let own = own.filter(|own| !own.trim().is_empty());
        if let Some(own) = own.or_else(|| campaign.defaults.get(language, name)) {
            params.entry(name).or_insert(own);
        }
    }
    // Where families have pictures, content has them too, and who gets text goes without.
    let is_for_others = !campaign.families.is_empty() && template.header.media_kind().is_none();
    let media = content.media.as_ref().filter(|_| !is_for_others);
    let header = match (&content.header, media, template.header.media_kind()) {
        (_, Some(media), Some(kind)) => {
            let filename = content.filename.clone().or_else(|| file_name(kind, media));
            Some(Header::Media { kind, media: media.clone(), filename })
        }
        (Some(text), _, _) => Some(Header::Text(Param::positional(text))),
        // A medium for a template without one: named as a mismatch by `fit`.
        (None, Some(media), None) => Some(Header::Media {
            kind: templates::MediaKind::Image,
            media: media.clone(),
            filename: None,
        }),
        (None, None, _) => None,
    };
    TemplateCall {
        name: template.name.clone(),
        language: language.clone(),
        header,
        body: params.into_iter().map(|(name, text)| Param::named(name, text)).collect(),
        buttons: content.buttons.iter().map(|(at, text)| button(template, *at, text)).collect(),
    }
}

/// Documents are shown with a name; without one of its own, that of the file.
fn file_name(kind: templates::MediaKind, media: &Media) -> Option<String> {
    let place = match media {
        Media::Path(place) => place,
        Media::Link(link) => link.split(['?', '#']).next().unwrap_or(link),
        Media::Id(_) | Media::Asset(_) => return None,
    };
    let name = place.rsplit('/').next().filter(|name| name.contains('.'));
    name.filter(|_| kind == templates::MediaKind::Document).map(str::to_owned)
}

fn button(template: &TemplateDefinition, index: u8, text: &str) -> ButtonCall {
    match template.buttons.get(usize::from(index)) {
        Some(ButtonFormat::Url) => ButtonCall::Url { index, suffix: text.to_owned() },
        Some(ButtonFormat::CopyCode) => ButtonCall::CopyCode { index, code: text.to_owned() },
        _ => ButtonCall::QuickReply { index, payload: text.to_owned() },
    }
}

fn tier(campaign: &Campaign, recipient: &Recipient) -> usize {
    let at = campaign.tiers.iter().position(|tier| *tier == recipient.tier);
    at.unwrap_or(campaign.tiers.len())
}

/// One slice per tier and one for unlisted ones, in order, as long as their share.
fn slices(snapshot: &Snapshot, window: &Window) -> Vec<Slice> {
    let mut counts = vec![0u64; snapshot.campaign.tiers.len() + 1];
    for row in &snapshot.rows {
        counts[tier(&snapshot.campaign, &row.recipient)] += 1;
    }
    let total = counts.iter().sum::<u64>().max(1) as f64;
    let mut start = window.opens;
    let slice = |count: u64| {
        let length = window.spread().mul_f64(count as f64 / total);
        let slice = Slice { start, length };
        start = start + length;
        slice
    };
    counts.into_iter().map(slice).collect()
}

/// What the media that content names have become, made before the plan is written.
#[derive(Debug, Default)]
pub struct MediaIds {
    /// By path, local files; `None` for one that no number's provider takes.
    pub files: BTreeMap<String, Option<Asset>>,
    /// By lane, ids that content names; false where the number has no such id.
    pub ids: BTreeMap<(u16, String), bool>,
}

impl MediaIds {
    /// The call with an asset for a path; `None` when `number`, of this lane, cannot send its
    /// medium: who was to get the message is left out, the others are not.
    fn resolve(
        &self,
        lane: u16,
        number: &NumberId,
        mut call: TemplateCall,
    ) -> Option<TemplateCall> {
        let Some(Header::Media { media, .. }) = &mut call.header else { return Some(call) };
        match media {
            Media::Path(path) => {
                let asset = self.files.get(path)?.as_ref()?;
                asset.ids.get(number)?;
                *media = Media::Asset(asset.clone());
            }
            Media::Id(id) => {
                self.ids.get(&(lane, id.clone())).filter(|known| **known)?;
            }
            Media::Link(_) | Media::Asset(_) => {}
        }
        Some(call)
    }
}

#[cfg(test)]
pub(crate) mod tests;

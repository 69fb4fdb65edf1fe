//! Makes what can be sent of the media that a plan names, before the plan is written: whatever
//! is wrong can still be put right.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use domain::outbound::{Asset, Header, Media, MediaKind};
use domain::{NumberId, Timestamp};

use super::{PlanError, Planner};
use crate::plan::{MediaIds, Plan};

/// Uploads for one run beyond those that its plan needs, at most: each of them lets a delivery
/// go through another number when its own is stopped.
const SPARE_MAX: usize = 100;

/// A local file of a plan.
struct File {
    kind: MediaKind,
    /// Lanes that the plan sends it through.
    lanes: BTreeSet<u16>,
    /// The first row that is to get it.
    row: u32,
}

/// The media of a plan.
#[derive(Default)]
struct Named {
    files: BTreeMap<String, File>,
    /// By lane and id, the first row that is to get it.
    ids: BTreeMap<(u16, String), u32>,
    /// Somebody's message needs nothing that may turn out to be missing.
    is_sendable: bool,
}

/// A local file that a plan wants for one number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WantedFile {
    /// The number may have to send it in place of another one; the plan does not need that.
    pub is_spare: bool,
    pub path: String,
    pub number: NumberId,
    pub kind: MediaKind,
}

/// What a plan would upload: first for the numbers that are to send it, then for the others.
pub fn wanted_files(plan: &Plan<'_>) -> Vec<WantedFile> {
    let lanes = 0..u16::try_from(plan.snapshot.campaign.numbers.len()).unwrap_or(u16::MAX);
    let of_file = |(path, file): (&String, &File)| -> Vec<WantedFile> {
        let of_lane = |lane| WantedFile {
            is_spare: !file.lanes.contains(&lane),
            path: path.clone(),
            number: number(plan, lane).clone(),
            kind: file.kind,
        };
        lanes.clone().map(of_lane).collect()
    };
    let mut wanted: Vec<WantedFile> = named(plan).files.iter().flat_map(of_file).collect();
    wanted.sort_by_key(|file| file.is_spare); // in the order of paths and lanes otherwise
    wanted
}

impl Planner {
    /// Uploads all local files, each for the numbers that are to send it and, within bounds, for
    /// the others, and asks for the ids that content names. Also sees that there is anything to
    /// send at all: an empty plan would stand for the whole day.
    pub(super) async fn media(
        &self,
        plan: &Plan<'_>,
        now: Timestamp,
    ) -> Result<MediaIds, PlanError> {
        let named = named(plan);
        let mut media = MediaIds::default();
        let mut is_sendable = named.is_sendable;
        for (path, file) in &named.files {
            let asset = self.asset(plan, path, file, now).await?;
            is_sendable |= asset.is_some();
            media.files.insert(path.clone(), asset);
        }
        for ((lane, id), row) in named.ids {
            let known = self.knows(plan, lane, &id, row).await;
            is_sendable |= known;
            media.ids.insert((lane, id), known);
        }
        if !is_sendable {
            return Err(PlanError::NothingToSend(plan.run.clone()));
        }
        self.spares(plan, &named.files, &mut media, now).await?;
        Ok(media)
    }

    /// The file with an id for each number that the plan sends it through; `None`: for none.
    async fn asset(
        &self,
        plan: &Plan<'_>,
        path: &str,
        file: &File,
        now: Timestamp,
    ) -> Result<Option<Asset>, PlanError> {
        let mut asset = None;
        for lane in &file.lanes {
            match self.upload(plan, path, file.kind, number(plan, *lane), &mut asset, now).await {
                Ok(()) => {}
                Err(Failed::Number) => {
                    say_left_out(plan, *lane, file.row, "the number has no provider");
                }
                // The file itself is wrong: those who were to get it are left out.
                Err(Failed::File(bad)) => {
                    say_left_out(plan, *lane, file.row, &bad);
                    break;
                }
                Err(Failed::Plan(error)) => return Err(error),
            }
        }
        Ok(asset)
    }

    /// Lets the other numbers send the files too: a number that is stopped at 06:01 is no time to
    /// begin uploading. What fails here costs nobody a message.
    async fn spares(
        &self,
        plan: &Plan<'_>,
        files: &BTreeMap<String, File>,
        media: &mut MediaIds,
        now: Timestamp,
    ) -> Result<(), PlanError> {
        let lanes = 0..u16::try_from(plan.snapshot.campaign.numbers.len()).unwrap_or(u16::MAX);
        let missing: Vec<(&String, MediaKind, u16)> = files
            .iter()
            .flat_map(|(path, file)| {
                let others = lanes.clone().filter(|lane| !file.lanes.contains(lane));
                others.map(move |lane| (path, file.kind, lane))
            })
            .collect();
        if missing.len() > SPARE_MAX {
            tracing::warn!(run = %plan.run, "{} files of run {} are uploaded only for the numbers that are to send them: for the others it were {} uploads more, at most {SPARE_MAX}; what has such a file waits when its number is stopped", files.len(), plan.run, missing.len());
            return Ok(());
        }
        for (path, kind, lane) in missing {
            let Some(asset @ Some(_)) = media.files.get_mut(path) else { continue };
            let number = number(plan, lane);
            match self.upload(plan, path, kind, number, asset, now).await {
                Ok(()) | Err(Failed::Number) => {}
                Err(Failed::Plan(error @ PlanError::Replaced { .. })) => return Err(error),
                Err(Failed::File(why)) => say_no_spare(plan, number, &why),
                Err(Failed::Plan(error)) => say_no_spare(plan, number, &error.to_string()),
            }
        }
        Ok(())
    }

    /// Adds the number's id of the file to the asset.
    async fn upload(
        &self,
        plan: &Plan<'_>,
        path: &str,
        kind: MediaKind,
        number: &NumberId,
        asset: &mut Option<Asset>,
        now: Timestamp,
    ) -> Result<(), Failed> {
        let provider = self.providers.of(number).ok_or(Failed::Number)?;
        let made = provider.media_id(number, kind, Path::new(path), now).await;
        let made = made.map_err(|error| match error.is_about_the_object {
            true => Failed::File(error.to_string()),
            false => Failed::Plan(PlanError::Media { run: plan.run.clone(), source: error }),
        })?;
        let new = || Asset { sha256: made.sha256.clone(), ids: BTreeMap::new() };
        let asset = asset.get_or_insert_with(new);
        if asset.sha256 != made.sha256 {
            let (run, path) = (plan.run.clone(), path.to_owned());
            return Err(Failed::Plan(PlanError::Replaced { run, path }));
        }
        asset.ids.insert(number.clone(), made.id);
        Ok(())
    }

    /// Whether the number has this id: ids belong to one number, and live for 30 days.
    async fn knows(&self, plan: &Plan<'_>, lane: u16, id: &str, row: u32) -> bool {
        let number = number(plan, lane);
        let Some(provider) = self.providers.of(number) else {
            say_left_out(plan, lane, row, "the number has no provider");
            return false;
        };
        let known = provider.knows_media(number, id).await.unwrap_or_else(|error| {
            tracing::warn!(run = %plan.run, number.id = %number, "a media id of run {} is not checked: {error}", plan.run);
            true
        });
        if !known {
            say_left_out(plan, lane, row, "the number has no such media id");
        }
        known
    }
}

/// Why one number has no id for one file.
enum Failed {
    /// The number has no provider.
    Number,
    /// The file is not taken, by any number.
    File(String),
    /// The plan cannot be made now.
    Plan(PlanError),
}

fn number<'a>(plan: &'a Plan<'_>, lane: u16) -> &'a NumberId {
    &plan.snapshot.campaign.numbers[usize::from(lane)].id
}

fn named(plan: &Plan<'_>) -> Named {
    let mut named = Named::default();
    let has_media = plan.snapshot.campaign.media_kind().is_some();
    for row in 0..plan.total() {
        if named.is_sendable && !has_media {
            break; // nothing to upload, and each row is decided again when it is written
        }
        let planned = plan.at(row);
        let (Some(lane), Ok(call)) = (planned.lane, planned.call) else { continue };
        match call.header {
            Some(Header::Media { kind, media: Media::Path(path), .. }) => {
                let lanes = BTreeSet::new();
                let file = named.files.entry(path).or_insert(File { kind, lanes, row });
                file.lanes.insert(lane);
            }
            Some(Header::Media { media: Media::Id(id), .. }) => {
                named.ids.entry((lane, id)).or_insert(row);
            }
            _ => named.is_sendable = true,
        }
    }
    named
}

fn say_left_out(plan: &Plan<'_>, lane: u16, row: u32, why: &str) {
    let number = number(plan, lane);
    let recipient = &plan.snapshot.rows[row as usize].recipient;
    tracing::error!(run = %plan.run, number.id = %number, "recipient {recipient} and all others with the same file from number {number} are left out of run {}: {why}", plan.run);
}

fn say_no_spare(plan: &Plan<'_>, number: &NumberId, why: &str) {
    tracing::warn!(run = %plan.run, number.id = %number, "number {number} could not send a file of run {} in place of another number: {why}", plan.run);
}

//! Goal: twice, at once, or after dying half-way: one plan.

use std::path::Path;

use cloud_api::{CloudApi, Meta};
use domain::clock::ManualClock;
use domain::outbound::Media;
use ledger::Model;
use provider::Outgoing;

use super::*;
use crate::plan::tests::{at, campaign, content, recipient, window};

fn snapshot(people: u32) -> Snapshot {
    let people = (0..people).map(recipient);
    Snapshot::take(campaign(), people, vec![content("*")]).snapshot
}

fn frame() -> Frame {
    Frame {
        run: "daily-pack@2026-11-21".parse().unwrap(),
        zone: "Asia/Kolkata".into(),
        window: window(),
        stop_at: window().deadline,
        catch_up_until: None,
        grace: Duration::from_secs(12),
        policy: Policy::default(),
        target_ratio: 0.99,
    }
}

fn planner(dir: &Path) -> Planner {
    let ledger = Arc::new(Model::new(Arc::new(ManualClock::at(at(900)))));
    let api = CloudApi::new(&cloud_api::Options::default(), "unused".to_owned().into()).unwrap();
    let meta: Arc<dyn Outgoing> = Arc::new(Meta::new(api, dir.join("media.json")));
    let numbers = campaign().numbers.into_iter().map(|number| (number.id, Arc::clone(&meta)));
    Planner { ledger, providers: Registry::new(numbers), state_dir: dir.to_owned() }
}

#[tokio::test]
async fn planning_twice_and_at_once_gives_one_plan() {
    let dir = tempfile::tempdir().unwrap();
    let planner = planner(dir.path());
    let (snapshot, frame) = (snapshot(2_500), frame());
    let plan = || planner.plan(&snapshot, &frame, at(900), &|_| {});
    let (a, b, c) = tokio::join!(plan(), plan(), plan());
    for planned in [a, b, c, plan().await] {
        let run = planned.unwrap().run;
        assert_eq!((run.phase, run.cursor), (Phase::Open, 2_500));
    }
    assert_eq!(planner.ledger.counts(&frame.run).await.unwrap().total(), 2_500);
}

#[tokio::test]
async fn a_second_planner_finishes_the_firsts_plan_even_when_the_files_changed() {
    let dir = tempfile::tempdir().unwrap();
    let planner = planner(dir.path());
    let (first, changed, frame) = (snapshot(1_500), snapshot(1_400), frame());
    first.save(&planner.snapshots()).unwrap();
    planner.ledger.begin_run(&header(&first, &frame)).await.unwrap();
    let plan = Plan::new(&first, frame.run.clone(), frame.window, at(900));
    let chunk = plan.chunk(0, &plan.order()[..700], &MediaIds::default());
    planner.ledger.plan_chunk(&frame.run, &chunk).await.unwrap();

    let planned = planner.plan(&changed, &frame, at(901), &|_| {}).await.unwrap();
    assert!(planned.differs, "the caller is told");
    assert_eq!((planned.run.phase, planned.run.cursor), (Phase::Open, 1_500));
}

#[tokio::test]
async fn a_plan_that_was_begun_in_another_order_is_not_gone_on_with() {
    let dir = tempfile::tempdir().unwrap();
    let planner = planner(dir.path());
    let (snapshot, frame) = (snapshot(10), frame());
    snapshot.save(&planner.snapshots()).unwrap();
    let other = RunHeader { planning: PLANNING - 1, ..header(&snapshot, &frame) };
    planner.ledger.begin_run(&other).await.unwrap();
    let error = planner.plan(&snapshot, &frame, at(900), &|_| {}).await;
    assert!(matches!(error, Err(PlanError::OtherPlanning(_))), "somebody would be sent to twice");
}

#[tokio::test]
async fn one_bad_media_file_leaves_out_only_those_who_were_to_get_it() {
    let dir = tempfile::tempdir().unwrap();
    let planner = planner(dir.path());
    let mut campaign = campaign();
    campaign.template.header = templates::definition::HeaderFormat::Image;
    let with = |id: &str, media| crate::intake::Content { media: Some(media), ..content(id) };
    let good = with("*", Media::Id("1037".into()));
    let bad = with("r00001", Media::Path("/nowhere/pack.jpg".into()));
    let people = (0..3).map(recipient);
    let snapshot = Snapshot::take(campaign, people, vec![good, bad]).snapshot;
    planner.plan(&snapshot, &frame(), at(900), &|_| {}).await.unwrap();
    let counts = planner.ledger.counts(&frame().run).await.unwrap();
    use domain::State::{Planned, Suppressed};
    assert_eq!((counts.get(Planned), counts.get(Suppressed)), (2, 1));
}

#[tokio::test]
async fn a_run_that_could_send_nothing_is_not_begun() {
    let dir = tempfile::tempdir().unwrap();
    let planner = planner(dir.path());
    let people = (0..3).map(recipient);
    let empty = Snapshot::take(campaign(), people, Vec::<crate::intake::Content>::new()).snapshot;
    let error = planner.plan(&empty, &frame(), at(900), &|_| {}).await;
    assert!(matches!(error, Err(PlanError::NothingToSend(_))));
    assert!(planner.ledger.run(&frame().run).await.unwrap().is_none(), "content may still come");
}

#[tokio::test]
async fn a_run_for_nobody_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let error = planner(dir.path()).plan(&snapshot(0), &frame(), at(900), &|_| {}).await;
    assert!(matches!(error, Err(PlanError::Nobody(_))));
}

/// Takes every file, from every number but one, and notes for whom.
#[derive(Default)]
struct Uploads {
    seen: std::sync::Mutex<Vec<String>>,
    refuses: Option<domain::NumberId>,
}

#[async_trait::async_trait]
impl Outgoing for Uploads {
    fn name(&self) -> &'static str {
        "uploads"
    }

    fn capabilities(&self) -> provider::Capabilities {
        provider::Capabilities { tags: true, media_ids: true, holds: false }
    }

    fn render(&self, _: domain::Outbound<'_>) -> Vec<u8> {
        unreachable!("nothing is sent")
    }

    async fn send(&self, _: &domain::NumberId, _: Vec<u8>) -> domain::Outcome {
        unreachable!("nothing is sent")
    }

    fn meaning(&self, _: i32) -> &'static str {
        ""
    }

    async fn media_id(
        &self,
        number: &domain::NumberId,
        _: domain::outbound::MediaKind,
        _: &Path,
        _: Timestamp,
    ) -> Result<provider::Uploaded, provider::ProviderError> {
        self.seen.lock().unwrap().push(number.to_string());
        if self.refuses.as_ref() == Some(number) {
            let source = Box::from("not now");
            return Err(provider::ProviderError { is_about_the_object: false, source });
        }
        Ok(provider::Uploaded { id: format!("id-of-{number}"), sha256: "5ba1".into() })
    }

    async fn knows_media(
        &self,
        _: &domain::NumberId,
        _: &str,
    ) -> Result<bool, provider::ProviderError> {
        Ok(true)
    }
}

/// A plan whose one recipient gets a local file; the numbers but `missing` have a provider.
async fn with_a_file(uploads: Arc<Uploads>) -> (Planner, Result<PlannedRun, PlanError>) {
    let dir = tempfile::tempdir().unwrap();
    let mut campaign = campaign();
    campaign.template.header = templates::definition::HeaderFormat::Image;
    let numbers = campaign.numbers.iter();
    let numbers = numbers.map(|n| (n.id.clone(), Arc::clone(&uploads) as Arc<dyn Outgoing>));
    let planner = Planner { providers: Registry::new(numbers), ..planner(dir.path()) };
    let content = crate::intake::Content {
        media: Some(Media::Path("/packs/today.jpg".into())),
        ..content("*")
    };
    let snapshot = Snapshot::take(campaign, (0..1).map(recipient), vec![content]).snapshot;
    let planned = planner.plan(&snapshot, &frame(), at(900), &|_| {}).await;
    (planner, planned)
}

#[tokio::test]
async fn a_file_can_be_sent_from_every_number_and_not_only_from_the_planned_one() {
    let uploads = Arc::new(Uploads::default());
    let (planner, planned) = with_a_file(Arc::clone(&uploads)).await;
    planned.unwrap();
    let all = planner.ledger.list(&frame().run, &ledger::Filter::default(), None, 9).await.unwrap();
    let hash = &all[0].message.as_ref().unwrap().body;
    let body = planner.ledger.content(&frame().run, hash).await.unwrap();
    let call: templates::TemplateCall = serde_json::from_str(&body).unwrap();
    for number in campaign().numbers {
        let sent = call.through(&number.id).unwrap().into_owned();
        let Some(templates::Header::Media { media: Media::Id(id), .. }) = sent.header else {
            panic!("no id for {}", number.id)
        };
        assert_eq!(id, format!("id-of-{}", number.id));
    }
    let stranger = domain::NumberId::try_new("999").unwrap();
    assert!(call.through(&stranger).is_err(), "no other number's id goes out");
}

#[tokio::test]
async fn an_upload_that_only_a_spare_number_needs_costs_nobody_their_message() {
    let calm = Arc::new(Uploads::default());
    with_a_file(Arc::clone(&calm)).await.1.unwrap();
    let (first, last) = {
        let seen = calm.seen.lock().unwrap();
        (seen.first().cloned().unwrap(), seen.last().cloned().unwrap())
    };
    let refusing = |number: &str| {
        let refuses = Some(domain::NumberId::try_new(number).unwrap());
        Arc::new(Uploads { refuses, ..Uploads::default() })
    };
    let (planner, planned) = with_a_file(refusing(&last)).await;
    planned.unwrap();
    assert_eq!(planner.ledger.counts(&frame().run).await.unwrap().get(domain::State::Planned), 1);
    let (_, planned) = with_a_file(refusing(&first)).await;
    assert!(matches!(planned, Err(PlanError::Media { .. })), "its own number must have the file");
}

//! Models that are learnt on the way: put in force, kept, taken back.

use control::wire::{LearnRequest, Learning, RollBackRequest, Verdict, VerdictRequest};
use events::{ModelAct, ModelChange, ModelEvent};
use model::{Channel, DetectorModel, Horizon, IsolationForest, ModelFile, schema};
use training::{Candidate, Word};

use super::*;
use crate::versions::Versions;

/// A model of few rows, another for each number.
fn model_of(number: u16) -> ModelFile {
    let channel = Channel::new(model::Kind::Peer, Horizon::from_ms(1_000));
    let schema = schema::schema_id(model::Kind::Peer);
    let width = u16::try_from(schema.features.len()).unwrap();
    let rows: Vec<f32> =
        (0..60 * width).map(|at| f32::from(at * 7 % (101 + number)) / 101.0).collect();
    let (train, held_out) = rows.split_at(30 * usize::from(width));
    let params = IsolationForest::params().n_trees(5).max_samples(16);
    let params = linfa::ParamGuard::check(params).unwrap();
    let detector = DetectorModel::fit(schema, train, held_out, &params).unwrap();
    ModelFile::new([(channel, detector)], "2026-01-31T12:00:00Z").unwrap()
}

/// A node whose configured model is number 0, in this folder.
fn learning_node(folder: &Path) -> Node {
    let (mut node, _) = node(folder);
    let (path, configured) = (folder.join("model.weir"), model_of(0));
    configured.save(&path).unwrap();
    let ledger = folder.join("ledger.db");
    let versions = Versions::of(&path, &configured, Some(&ledger)).unwrap();
    let (path, in_force) = versions.in_force(configured).unwrap();
    node.inner().model = ModelFacts::of(&path, &in_force);
    node.learning = Mutex::new(Some(LearningState::new(versions)));
    node
}

fn learn(node: &Node, number: u16) {
    let change = ModelChange { rows: 30, held_out: 30, ..ModelChange::default() };
    // Versions have the numbers of their models here.
    let before = node.models().unwrap().in_force;
    let before = model_of(u16::try_from(before).unwrap());
    node.take_candidate(&before, Candidate { model: model_of(number), change });
}

/// The next window, with the model that came before it; what is told of models.
fn go_on(node: &Node) -> Vec<ModelEvent> {
    let model = node.next_model().map(|next| Box::new(next.told));
    let events = node.decide(AssessedWindow { model, ..window(1, Vec::new()) });
    let of_models = |event| match event {
        Event::Model(event) => Some(event),
        _ => None,
    };
    events.into_iter().filter_map(of_models).collect()
}

#[test]
fn what_is_learnt_is_in_force_with_the_next_window_and_over_a_restart_and_taken_back_by_one_command()
 {
    let folder = tempfile::tempdir().unwrap();
    let node = learning_node(folder.path());
    learn(&node, 1);
    assert_eq!(node.status().unwrap().model.unwrap().hash, model_of(0).digest(), "not yet");
    let told = go_on(&node);
    assert_eq!((told[0].act, told[0].version), (ModelAct::Learnt, 1));
    assert_eq!(node.status().unwrap().model.unwrap().hash, model_of(1).digest());
    learn(&node, 2);
    go_on(&node);
    node.stop("test");
    drop(node);

    let node = learning_node(folder.path());
    assert_eq!(node.status().unwrap().model.unwrap().hash, model_of(2).digest());
    let back = node.roll_back(&somebody(), &RollBackRequest { to: None }).unwrap();
    assert_eq!((back.in_force, back.learning), (1, Learning::Paused));
    let told = go_on(&node);
    assert_eq!((told[0].act, told[0].version), (ModelAct::RolledBack, 1));
    assert!(node.said().forget_since_ns.is_some() && node.said().paused);
    learn(&node, 3);
    assert!(node.next_model().is_none(), "paused");

    let far = node.roll_back(&somebody(), &RollBackRequest { to: Some(9) }).unwrap_err();
    assert!(far.text.contains("version 9"), "{far}");
    let on = node.learn(&somebody(), &LearnRequest { on: true }).unwrap();
    assert_eq!((on.learning, on.versions.len()), (Learning::On, 2));
    learn(&node, 3);
    assert_eq!(go_on(&node)[0].version, 3, "numbers are not used again");
    node.stop("test");
    let reader = Ledger::read(&folder.path().join("ledger.db")).unwrap();
    let acts = reader.acts(&ActQuery::default()).unwrap().rows;
    let count = |what: &str| acts.iter().filter(|act| act.what == what).count();
    assert_eq!([count("model"), count("rollback"), count("learn")], [4, 1, 1]);
}

#[test]
fn a_bounded_number_is_kept_and_another_configured_file_is_in_force_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let node = learning_node(folder.path());
    for number in 1..=10 {
        learn(&node, number);
        go_on(&node);
    }
    let models = node.models().unwrap();
    let kept: Vec<u32> = models.versions.iter().map(|one| one.number).collect();
    assert_eq!(kept, (3..=10).collect::<Vec<_>>());
    let files = std::fs::read_dir(folder.path().join("models")).unwrap().count();
    assert_eq!(files, 8 + 1);

    model_of(50).save(folder.path().join("model.weir")).unwrap();
    std::fs::write(folder.path().join("allow.txt"), "").unwrap();
    node.reload(&somebody()).unwrap();
    let told = go_on(&node);
    assert_eq!((told[0].act, told[0].version), (ModelAct::Reloaded, 0));
    assert_eq!(node.status().unwrap().model.unwrap().hash, model_of(50).digest());
    std::fs::write(folder.path().join("model.weir"), "no model").unwrap();
    assert!(node.reload(&somebody()).is_err());
    assert!(node.next_model().is_none());
}

#[test]
fn who_is_reported_is_told_to_learning_and_so_is_a_persons_verdict() {
    let folder = tempfile::tempdir().unwrap();
    let node = learning_node(folder.path());
    let forged = Evidence { standing: Standing::Unproven, ..attacker(2) };
    node.decide(window(1, vec![attacker(1), forged]));
    let said = node.said().words;
    let [(remote, Word::Reported { until_ns })] = said[..] else { panic!("{said:?}") };
    assert!(remote == peer(1) && until_ns > boot_ns() + 60 * SECOND, "while its block lasts");
    let say = |prefix: &str, verdict| {
        let remote = prefix.parse().unwrap();
        node.vouch(&somebody(), &VerdictRequest { remote, verdict, reason: None })
    };
    say("198.51.100.1", Verdict::Benign).unwrap();
    let of_nobody = say("203.0.113.77", Verdict::Benign).unwrap_err();
    assert!(of_nobody.text.starts_with("nothing was ever reported of 203.0.113.77"), "{of_nobody}");
    say("203.0.113.77", Verdict::Attack).unwrap();
    let attack = (IpAddr::from([203, 0, 113, 77]), Word::WasAttack);
    assert_eq!(node.said().words, [(peer(1), Word::WasBenign), attack]);

    let (plain, _) = super::node(&folder.path().join("other"));
    let error = plain.roll_back(&somebody(), &RollBackRequest::default()).unwrap_err();
    assert!(error.text.contains("`model.learn`"), "{error}");
}

#[test]
fn a_report_that_found_no_room_is_counted_and_told_to_learning() {
    let folder = tempfile::tempdir().unwrap();
    let node = learning_node(folder.path());
    let crowd = (0..5_000_u32).map(|number| {
        let address = Ipv4Addr::from_bits(0xc633_6400 + number).into();
        Evidence { address, ..attacker(1) }
    });
    node.decide(window(1, crowd.collect()));
    let said = node.said();
    assert_eq!((said.words.len(), said.unheard), (4_096, 904));
    assert_eq!(node.said().unheard, 0, "told once");
    assert_eq!(node.status().unwrap().model.unwrap().unheard, 904);
}

#[test]
fn where_nothing_is_learnt_a_reload_takes_another_model_over_all_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let node = learning_node(folder.path());
    let path = folder.path().join("model.weir");
    *node.learning() = Some(LearningState::new(Versions::fixed(&path, &model_of(0))));
    let state = |node: &Node| node.status().unwrap().model.unwrap().learning;
    assert_eq!(state(&node), Learning::Off);
    std::fs::write(folder.path().join("allow.txt"), "").unwrap();
    assert_eq!(node.reload(&somebody()).unwrap().model, None);
    model_of(7).save(&path).unwrap();
    let told = node.reload(&somebody()).unwrap();
    assert_eq!(told.model.as_deref(), Some(model_of(7).digest()));
    assert_eq!(go_on(&node)[0].act, ModelAct::Reloaded);
    assert_eq!(node.status().unwrap().model.unwrap().hash, model_of(7).digest());

    // All or nothing: with a list of addresses that is none, the model stays as it is too.
    model_of(8).save(&path).unwrap();
    std::fs::write(folder.path().join("allow.txt"), "nobody").unwrap();
    assert!(node.reload(&somebody()).is_err());
    assert!(node.next_model().is_none());
}

#[test]
fn what_was_gathered_is_kept_beside_the_versions_and_a_roll_back_removes_it() {
    let folder = tempfile::tempdir().unwrap();
    let node = learning_node(folder.path());
    let second = std::time::Duration::from_secs(1);
    let detector = || {
        let context = model::Context::of_windows(second);
        engine::Detector::new(model_of(0), context, second)
            .learn_on(training::Ongoing::beside_windows(second))
    };
    let mut gathers = detector();
    let channel = Channel::new(model::Kind::Peer, Horizon::from_ms(1_000));
    let row = vec![0.5; schema::schema_id(model::Kind::Peer).features.len()];
    let ongoing = gathers.learning().unwrap();
    ongoing.take(channel, Some(peer(1)), boot_ns(), &row);
    ongoing.end_window(boot_ns());
    node.keep_gathered(ongoing);
    let mut goes_on = detector();
    let line = node.take_up_gathered(&mut goes_on).unwrap();
    assert!(line.starts_with("learning goes on from 1 row gathered up to "), "{line}");
    assert_eq!(goes_on.learning().unwrap().kept(), 1);

    let file = folder.path().join("models/gathered.weir");
    let whole = std::fs::read(&file).unwrap();
    std::fs::write(&file, &whole[..whole.len() - 1]).unwrap();
    let line = node.take_up_gathered(&mut detector()).unwrap();
    assert!(line.contains("gathered.weir`: it is damaged"), "{line}");
    learn(&node, 1);
    go_on(&node);
    node.roll_back(&somebody(), &RollBackRequest { to: Some(0) }).unwrap();
    assert!(!file.exists());
    assert_eq!(node.take_up_gathered(&mut detector()), None);
}

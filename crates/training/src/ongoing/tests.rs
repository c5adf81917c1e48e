use model::Feature as _;
use model::PeerFeature;

use super::*;

const SECOND: u64 = 1_000_000_000;
const MINUTE: u64 = 60 * SECOND;
const PACE: Pace = Pace {
    half_life: Duration::from_hours(24),
    every: Duration::from_mins(20),
    settle: Duration::from_mins(10),
    unusual: 3.0,
};

/// A place with so many remotes, each of a network of its own.
struct Place {
    ongoing: Ongoing,
    draws: Draws,
    now_ns: u64,
}

fn remote(number: u8) -> IpAddr {
    IpAddr::from([198, 51, number, 7])
}

fn params() -> IsolationForestValidParams {
    IsolationForest::params().n_trees(50).beyond(crate::BEYOND).check().unwrap()
}

impl Place {
    fn new() -> Self {
        let ongoing = Ongoing::new(Duration::from_secs(1), PACE, params());
        Self { ongoing, draws: Draws::new(3, 1), now_ns: 1_000 * MINUTE }
    }

    /// A window every ten seconds in which each of 40 remotes is seen; the row of each is changed.
    fn live(&mut self, minutes: u64, change: impl Fn(u8, &mut [f32])) {
        let channel = self.ongoing.peers();
        let width = PeerFeature::scored().count();
        for _ in 0..minutes * 6 {
            for number in 0..40_u8 {
                #[expect(clippy::cast_possible_truncation, reason = "rows are f32")]
                let mut row: Vec<f32> =
                    (0..width).map(|_| self.draws.unit().powi(2) as f32).collect();
                change(number, &mut row);
                self.ongoing.take(channel, Some(remote(number)), self.now_ns, &row);
            }
            self.now_ns += 10 * SECOND;
            self.ongoing.end_window(self.now_ns);
        }
    }

    fn train(&self, before: &ModelFile) -> Result<Candidate, NotLearnt> {
        self.ongoing.train(before, 100, "2026-01-31T12:00:00Z")
    }

    /// A model of what came so far, with none before it to compare with.
    fn first(&self) -> ModelFile {
        let (until, now) = (self.ongoing.settled_until(), self.ongoing.now_ns);
        let rows = &self.ongoing.usual[&self.ongoing.peers()];
        let rows = [(
            self.ongoing.peers(),
            rows.settled(until, now, 40.0, |owners, _| vec![false; owners.len()]),
        )]
        .into();
        let window = Duration::from_secs(1);
        fit_all(&rows, window, &params(), "2026-01-30T12:00:00Z").unwrap()
    }
}

/// Does so much more than others in three features.
fn do_more(row: &mut [f32], by: f32) {
    row[..3].iter_mut().for_each(|value| *value += by);
}

/// The surprise of an ordinary row with this value in its first three features.
fn surprise(model: &ModelFile, value: f32) -> f64 {
    let mut row = vec![0.25; PeerFeature::scored().count()];
    row[..3].fill(value);
    let mut rows = Vec::new();
    HorizonRows::add(&mut rows, model.window(), &row, 0);
    assess(model.detectors(), Kind::Peer, &rows, 1).entities()[0].surprise
}

#[test]
fn what_becomes_usual_is_learnt_and_what_moved_is_told() {
    let mut place = Place::new();
    place.live(60, |_, _| {});
    let before = place.first();
    // Half of them do more from now on.
    place.live(120, |number, row| do_more(row, f32::from(number % 2) * 2.0));
    let Candidate { model, change } = place.train(&before).unwrap();
    assert!(surprise(&before, 2.5) > 4.0 && surprise(&model, 2.5) < 3.0);
    assert!(surprise(&model, 9.0) > 4.0, "{}", surprise(&model, 9.0));
    let moved: BTreeSet<&str> = change.moved.iter().map(|one| &*one.feature).collect();
    assert_eq!(moved, PeerFeature::ALL[..3].iter().map(|one| one.name()).collect());
    assert_eq!(change.remotes, 40);
    assert!(change.unusual < change.unusual_before, "{change:?}");
    let text = change.to_text();
    assert!(text.contains("usual up to now, and before: "), "{text}");
    // The same again, to the byte.
    assert_eq!(place.train(&before).unwrap().model.digest(), model.digest());
}

#[test]
fn who_is_reported_is_not_learnt_from_until_a_person_says_that_it_was_benign() {
    let mut place = Place::new();
    place.live(60, |_, _| {});
    let before = place.first();
    let does_more =
        |number: u8, row: &mut [f32]| do_more(row, f32::from(u8::from(number == 5)) * 3.0);
    // Seen for some minutes before anybody notices, and for an hour behind it.
    place.live(5, does_more);
    let until_ns = place.now_ns + 90 * MINUTE;
    place.ongoing.hear(&[(remote(5), Word::Reported { until_ns })]);
    place.live(60, does_more);
    let Candidate { model, change } = place.train(&before).unwrap();
    assert!(surprise(&model, 3.5) > 4.0, "{}", surprise(&model, 3.5));
    assert_eq!((change.reported, change.still_unusual), (1, 1));

    place.ongoing.hear(&[(remote(6), Word::WasAttack)]);
    let channel = place.ongoing.peers();
    assert_eq!(
        place.ongoing.usual[&channel].since(0).filter(|one| one.0 == Some(remote(6))).count(),
        0
    );

    place.ongoing.hear(&[(remote(5), Word::WasBenign)]);
    assert!(place.ongoing.due(&before).is_some(), "a person's word is learnt from at once");
    place.live(20, does_more);
    let Candidate { model, change } = place.train(&before).unwrap();
    assert!(surprise(&model, 3.5) < 3.0, "{}", surprise(&model, 3.5));
    assert_eq!(change.reported, 0);
}

#[test]
fn what_would_alarm_on_more_or_no_longer_see_or_support_less_is_refused() {
    let mut place = Place::new();
    place.live(60, |_, _| {});
    let before = place.first();

    // One that was reported, and does what most do by now.
    let until_ns = place.now_ns + 900 * MINUTE;
    place.ongoing.hear(&[(remote(3), Word::Reported { until_ns })]);
    place.live(5, |number, row| do_more(row, f32::from(u8::from(number == 3)) * 4.0));
    place.live(120, |number, row| do_more(row, f32::from(number % 2) * 4.0));
    let error = place.train(&before).unwrap_err();
    let NotLearnt::Blind(told) = &error else { panic!("{error}") };
    assert_eq!((told.reported, told.still_unusual), (1, 0));
    assert!(error.to_string().contains("weir unblock ADDRESS --was-benign"), "{error}");

    // All have just begun to do what was never learnt; the model in force knows it.
    let (mut wide, mut narrow) = (Place::new(), Place::new());
    wide.live(60, |_, row| do_more(row, 6.0));
    wide.live(60, |_, _| {});
    let knows = wide.first();
    narrow.live(60, |_, _| {});
    narrow.live(9, |_, row| do_more(row, 6.0));
    let error = narrow.train(&knows).unwrap_err();
    let NotLearnt::Unusual(told) = &error else { panic!("{error}") };
    assert!(told.remotes == 40 && told.unusual == 40 && told.unusual_before < 30, "{told:?}");

    // Fewer rows than the model in force had, where the configured rates need them.
    let mut short = Place::new();
    short.live(20, |_, _| {});
    let error = short.ongoing.train(&before, u64::MAX, "2026-01-31T12:00:00Z");
    assert!(matches!(error, Err(NotLearnt::Unsupported(_))), "{error:?}");
    // And fewer than a quarter of them in any case.
    assert!(matches!(short.train(&before), Err(NotLearnt::Unsupported(_))));
    short.live(15, |_, _| {});
    assert!(short.train(&before).is_ok());
}

#[test]
fn who_stands_out_alone_is_not_learnt_though_nobody_reports_him() {
    let mut place = Place::new();
    place.live(60, |_, _| {});
    let before = place.first();
    // One in forty, for five hours; and then two more networks, who do it as often.
    let does_more = |number: u8, row: &mut [f32], of: std::ops::Range<u8>| {
        do_more(row, f32::from(u8::from(of.contains(&number))) * 3.0);
    };
    place.live(300, |number, row| does_more(number, row, 5..6));
    let alone = place.train(&before).unwrap().model;
    assert!(surprise(&alone, 3.5) > 4.0, "{}", surprise(&alone, 3.5));
    place.live(300, |number, row| does_more(number, row, 5..8));
    let several = place.train(&before).unwrap().model;
    assert!(surprise(&several, 3.5) < 3.0, "{}", surprise(&several, 3.5));
}

#[test]
fn what_stands_out_is_told_by_the_model_of_a_half_life_ago() {
    let mut place = Place::new();
    place.live(60, |_, _| {});
    let before = place.first();
    let other = place.first();
    place.ongoing.due(&before).unwrap();
    let since =
        |place: &Place| place.ongoing.anchor.as_ref().map(|anchor| anchor.since_ns).unwrap();
    let first_ns = since(&place);
    place.live(60, |_, _| {});
    place.ongoing.due(&other).unwrap();
    assert_eq!(since(&place), first_ns);
    place.live(23 * 60, |_, _| {});
    place.ongoing.due(&other).unwrap();
    assert!(since(&place) > first_ns);
    place.ongoing.anchor_anew();
    assert!(place.ongoing.anchor.is_none());
}

#[test]
fn where_more_was_said_than_heard_nothing_of_then_is_learnt() {
    let mut place = Place::new();
    place.live(60, |_, _| {});
    let channel = place.ongoing.peers();
    let rows = |place: &Place| place.ongoing.usual[&channel].len();
    place.ongoing.missed_words();
    // Of an hour ten minutes are forgotten, of which one in a hundred rows had faded before.
    assert_eq!(rows(&place), 40 * 6 * 50);
    place.live(10, |_, _| {});
    assert_eq!(rows(&place), 40 * 6 * 50, "and ten minutes are left out");
    place.live(1, |_, _| {});
    assert_eq!(rows(&place), 40 * 6 * 51);
}

#[test]
fn what_was_gathered_outlives_the_process_and_another_clock() {
    let mut place = Place::new();
    place.live(60, |_, _| {});
    let before = place.first();
    let until_ns = place.now_ns + 90 * MINUTE;
    place.ongoing.hear(&[(remote(5), Word::Reported { until_ns })]);
    place.live(30, |_, _| {});
    let kept = place.ongoing.keep();
    // A window that is the first of the next run.
    place.ongoing.end_window(place.now_ns);
    let expected = place.train(&before).unwrap();

    let mut after = Ongoing::new(Duration::from_secs(1), PACE, params());
    for broken in [&kept[..kept.len() - 1], &[&kept[..], &[0]].concat(), b"", &[255; 64]] {
        assert!(!after.take_up(broken, 0) && after.kept() == 0);
    }
    // The machine started anew: its clock is 900 minutes behind.
    let behind_ns = -(900 * MINUTE.cast_signed());
    assert!(after.take_up(&kept, behind_ns));
    assert_eq!((after.kept(), after.reported.len()), (place.ongoing.kept(), 1));
    assert!(after.due(&before).is_none(), "not at once");
    after.end_window(place.now_ns.saturating_add_signed(behind_ns));
    let found = after.train(&before, 100, "2026-01-31T12:00:00Z").unwrap();
    assert_eq!(found.model.digest(), expected.model.digest());
}

#[test]
fn what_the_own_side_did_when_it_was_told_of_is_not_learnt() {
    let mut place = Place::new();
    let channel = Channel::new(Kind::Net, place.ongoing.peers().horizon);
    let width = schema::schema_id(Kind::Net).features.len();
    let row = vec![0.5; width];
    for minute in 0..60_u64 {
        place.ongoing.take(channel, None, place.now_ns, &row);
        place.now_ns += MINUTE;
        place.ongoing.end_window(place.now_ns);
        if minute == 30 {
            place.ongoing.own_side_stood_out();
        }
    }
    // Ten minutes before and ten behind it.
    assert_eq!(place.ongoing.usual[&channel].len(), 40);
}

#[test]
fn memory_is_bounded_whatever_comes() {
    let mut place = Place::new();
    let channel = Channel::new(Kind::Peer, model::Horizon::from_ms(10_000));
    let row = vec![0.5; PeerFeature::scored().count()];
    let mut said = Vec::new();
    for number in 0..60_000_u32 {
        let remote = IpAddr::from((0xc633_6400 + (number << 8)).to_be_bytes());
        place.ongoing.take(channel, Some(remote), u64::from(number), &row);
        said.push((remote, Word::Reported { until_ns: u64::MAX }));
        if number % 10 == 0 {
            said.push((remote, Word::WasBenign));
        }
        if number % 1_000 == 999 {
            place.ongoing.hear(&said);
            said.clear();
        }
    }
    assert!(place.ongoing.kept() <= 2 * (OTHER_ROWS + ODD_ROWS), "{}", place.ongoing.kept());
    assert!(place.ongoing.reported.len() <= REMOTES && place.ongoing.vouched.len() <= REMOTES);
}

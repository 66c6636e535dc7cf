use super::*;

fn at(second: u64) -> Timestamp {
    Timestamp::from_millis(1_767_268_800_000).plus(Duration::from_secs(second))
}

fn destination(key: i64) -> WatchedDestination {
    WatchedDestination {
        key: DestinationKey(key),
        id: DestinationId::from_stored(format!("dst_{key}")),
        account_id: AccountId::from_stored("acc_orders".to_owned()),
        account_name: AccountName::from_stored("Orders".to_owned()),
        url: TargetUrl::from_stored("https://example.com/hook?token=hidden".to_owned()),
        pause: None,
        failing_since: None,
    }
}

fn seen(destinations: Vec<WatchedDestination>) -> Seen {
    Seen { destinations, ..Seen::default() }
}

fn watch() -> Watch {
    Watch::new(AccountId::from_stored("acc_ops".to_owned()))
}

fn kinds(notices: &[Notice]) -> Vec<NoticeKind> {
    notices.iter().map(|notice| notice.kind).collect()
}

#[test]
fn a_destination_is_failing_after_a_minute_and_recovered_once() {
    let mut watch = watch();
    let failing = |since| WatchedDestination { failing_since: Some(at(since)), ..destination(1) };
    assert_eq!(watch.look(&seen(vec![failing(0)]), at(59)), []);
    let told = watch.look(&seen(vec![failing(0)]), at(60));
    assert_eq!(kinds(&told), [NoticeKind::Failing]);
    assert_eq!(told[0].document["url"], "https://example.com/hook", "a query may hold a secret");
    assert_eq!(told[0].document["since"], at(0).to_string());
    assert_eq!(watch.look(&seen(vec![failing(0)]), at(90)), []);
    assert_eq!(watch.noted(), [DestinationKey(1)]);
    assert_eq!(kinds(&watch.look(&seen(vec![destination(1)]), at(91))), [NoticeKind::Recovered]);
    assert_eq!(watch.look(&seen(vec![destination(1)]), at(92)), []);
    assert!(watch.noted().is_empty());
}

#[test]
fn a_pause_and_its_end_are_told_with_the_reason() {
    let mut watch = watch();
    let paused =
        |reason, second| WatchedDestination { pause: Some(Pause { reason, at: at(second) }), ..destination(1) };
    let told = watch.look(&seen(vec![paused(PausedReason::Gone, 5)]), at(6));
    assert_eq!((kinds(&told), &told[0].document["paused_reason"]), (vec![NoticeKind::Paused], &json!("gone")));
    assert_eq!(watch.look(&seen(vec![paused(PausedReason::Gone, 5)]), at(7)), []);
    // Resumed and paused again between two looks.
    assert_eq!(kinds(&watch.look(&seen(vec![paused(PausedReason::Manual, 8)]), at(9))), [NoticeKind::Paused]);
    assert_eq!(kinds(&watch.look(&seen(vec![destination(1)]), at(10))), [NoticeKind::Resumed]);
}

#[test]
fn exhausted_deliveries_are_told_once_an_hour_with_their_number() {
    let mut watch = watch();
    let exhausted = |counts: &[(i64, u64)]| Seen {
        destinations: vec![destination(1)],
        exhausted: counts.iter().map(|(minute, count)| ((DestinationKey(1), *minute), *count)).collect(),
        storage_is_low: false,
    };
    let count =
        |notices: Vec<Notice>| notices.iter().map(|one| one.document["count"].as_u64().unwrap()).collect::<Vec<_>>();
    assert_eq!(count(watch.look(&exhausted(&[(0, 3)]), at(1))), [3]);
    assert!(watch.look(&exhausted(&[(0, 5), (60, 2)]), at(61)).is_empty());
    assert!(watch.look(&exhausted(&[(0, 5), (60, 2)]), at(3_600)).is_empty());
    assert_eq!(count(watch.look(&exhausted(&[(60, 2), (3_660, 1)]), at(3_661))), [5]);
}

#[test]
fn nothing_is_told_of_the_account_that_is_told() {
    let mut watch = watch();
    let own = WatchedDestination {
        account_id: AccountId::from_stored("acc_ops".to_owned()),
        failing_since: Some(at(0)),
        pause: Some(Pause { reason: PausedReason::Gone, at: at(0) }),
        ..destination(1)
    };
    let exhausted = HashMap::from([((DestinationKey(1), 0), 7)]);
    assert_eq!(watch.look(&Seen { destinations: vec![own], exhausted, storage_is_low: false }, at(100)), []);
}

#[test]
fn a_restart_tells_what_is_fresh_under_the_same_key_and_nothing_old() {
    let failing = WatchedDestination { failing_since: Some(at(0)), ..destination(1) };
    let before = watch().look(&seen(vec![failing.clone()]), at(100));
    let after = watch().look(&seen(vec![failing.clone()]), at(200));
    assert_eq!(before[0].key, after[0].key);
    let mut watch = watch();
    assert_eq!(watch.look(&seen(vec![failing]), at(25 * 3_600)), []);
    assert_eq!(kinds(&watch.look(&seen(vec![destination(1)]), at(25 * 3_600 + 1))), [NoticeKind::Recovered]);
}

#[test]
fn storage_is_told_as_it_changes() {
    let mut watch = watch();
    let storage = |storage_is_low| Seen { storage_is_low, ..Seen::default() };
    assert_eq!(watch.look(&storage(false), at(0)), []);
    assert_eq!(kinds(&watch.look(&storage(true), at(1))), [NoticeKind::StorageLow]);
    assert_eq!(watch.look(&storage(true), at(2)), []);
    assert_eq!(kinds(&watch.look(&storage(false), at(3))), [NoticeKind::StorageRecovered]);
}

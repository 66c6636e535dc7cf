use super::*;
use crate::domain::network::NetworkPolicy;

const SECOND: Duration = Duration::from_secs(1);

fn connections() -> DestinationConnections {
    DestinationConnections::new(GuardedResolver::new(Arc::new(NetworkPolicy::dev(Vec::new()))), Trust::default())
}

fn to(connections: &DestinationConnections, url: &str) -> LaneConnections {
    connections.to(&TargetUrl::from_stored(url.to_owned()), SECOND)
}

/// How many agents are idle for this lane's origin, and how many the lane uses.
fn counts(agents: &LaneConnections) -> (usize, usize) {
    (agents.origin.idle().len(), agents.leases().agents.len())
}

/// An exchange that goes well.
fn exchange(agents: &LaneConnections) {
    agents.lease(true).done();
}

fn finds_a_connection(agents: &LaneConnections) -> bool {
    let lease = agents.lease(true);
    let found = lease.begin();
    if found {
        lease.done();
    }
    found
}

#[test]
fn those_who_send_at_once_have_agents_of_their_own_that_are_used_again() {
    let agents = to(&connections(), "http://127.0.0.1:1/");
    let (first, second) = (agents.lease(true), agents.lease(true));
    assert!(!first.begin());
    first.done();
    second.done();
    drop((first, second));
    assert_eq!(counts(&agents), (2, 0));
    let again = agents.lease(true);
    assert!(again.begin());
    assert_eq!(counts(&agents), (1, 1));
}

#[test]
fn one_whose_exchange_failed_or_did_not_end_is_not_used_again() {
    let agents = to(&connections(), "http://127.0.0.1:1/");
    exchange(&agents);
    assert!(agents.lease(true).begin());
    assert_eq!(counts(&agents), (0, 0));
}

#[test]
fn a_lane_that_fails_leaves_what_is_idle_to_others_and_gives_what_goes_well() {
    let agents = to(&connections(), "http://127.0.0.1:1/");
    exchange(&agents);
    let own = agents.lease(false);
    assert!(!own.begin());
    own.done();
    drop(own);
    assert_eq!(counts(&agents), (2, 0));
}

#[test]
fn what_is_idle_for_long_is_closed_and_what_is_old_not_kept() {
    let connections = connections();
    let agents = to(&connections, "http://127.0.0.1:1/");
    exchange(&agents);
    let now = Instant::now();
    connections.sweep(now);
    assert_eq!(counts(&agents), (1, 0));
    connections.sweep(now + IDLE + SECOND);
    assert_eq!(counts(&agents), (0, 0));
    for (age, kept) in [(MAX_AGE - SECOND, 1), (MAX_AGE + SECOND, 0)] {
        agents.origin.idle().clear();
        agents.origin.keep(agents.origin.make(), now, now + age);
        assert_eq!(counts(&agents).0, kept);
    }
}

#[test]
fn lanes_to_one_origin_share_what_is_idle_and_others_do_not() {
    let connections = connections();
    exchange(&to(&connections, "http://127.0.0.1:1/a"));
    // No lane leads to the origin any more, so its idle connection is gone.
    assert!(!finds_a_connection(&to(&connections, "http://127.0.0.1:1/a")));
    let first = to(&connections, "http://127.0.0.1:1/a");
    exchange(&first);
    for other in ["http://127.0.0.1:2/a", "https://127.0.0.1:1/a", "http://localhost:1/a"] {
        assert!(!finds_a_connection(&to(&connections, other)), "{other}");
    }
    let same = TargetUrl::from_stored("http://127.0.0.1:1/a".to_owned());
    assert!(!finds_a_connection(&connections.to(&same, 2 * SECOND)), "it would have the other's timeout");
    assert!(!finds_a_connection(&connections.isolated(&same, SECOND)));
    assert!(finds_a_connection(&to(&connections, "http://127.0.0.1:1/b")));
}

#[test]
fn a_lane_that_is_cut_leaves_others_alone() {
    let connections = connections();
    let (cut, other) = (to(&connections, "http://127.0.0.1:1/a"), to(&connections, "http://127.0.0.1:1/b"));
    let before = cut.lease(true);
    before.done();
    exchange(&other);
    cut.shutdown();
    drop(before);
    assert_eq!(counts(&other), (1, 0), "what was cut is not kept");
    for (agents, is_cut) in [(&cut, true), (&other, false)] {
        let answer = agents.lease(true).agent().get("http://127.0.0.1:1/").call();
        let shut = matches!(answer, Err(ureq::Error::Io(error)) if error.kind() == std::io::ErrorKind::NotConnected);
        assert_eq!(shut, is_cut);
    }
}

#[test]
fn origins_that_no_lane_leads_to_are_forgotten() {
    let connections = connections();
    for port in 1..10 * MIN_SWEPT_ORIGINS {
        to(&connections, &format!("http://127.0.0.1:{port}/"));
    }
    let origins = connections.origins.lock().unwrap();
    assert!(origins.known.len() <= MIN_SWEPT_ORIGINS, "{}", origins.known.len());
}

//! A kill at any point of sealing: the next start goes on, and nothing plain is left.

use super::planted::{Planted, plant};
use super::{assert_delivers, new_key, with_key};
use crate::harness::{Receiver, Setup};

/// Points at which the start is killed, in their order.
const POINTS: [&str; 7] =
    ["sealing-begun", "sealing-some", "sealing-rows", "sealing-zeroed", VACUUMED, "sealing-cleaned", "sealing-cut"];

/// This point is reached only where unused parts cannot be zeroed.
const VACUUMED: &str = "sealing-vacuumed";

#[test]
fn a_start_that_is_killed_while_it_seals_is_gone_on_with() {
    let (keys, receiver) = (tempfile::tempdir().unwrap(), Receiver::start());
    let [key, other] = ["key", "other"].map(|name| new_key(keys.path(), name));
    for (number, point) in POINTS.into_iter().enumerate() {
        let setup = Setup::dev();
        let mut planted = Planted::default();
        let mut server = setup.start();
        let url = receiver.url("/in");
        let (account, working) = plant(&mut planted, &server.client(), &format!("killed{number}"), &url);
        server.kill();
        planted.assert_found(setup.folder());
        let mut killed = with_key(&setup, &key).variable("DATA_PUSHER_TEST_KILL", point);
        if point == VACUUMED {
            killed = killed.variable("DATA_PUSHER_TEST_NO_ZEROING", "1");
        }
        let killed = killed.run();
        assert_eq!(killed.code, Some(137), "{point}: {killed:#?}");
        // From here on the file needs its key, and no other.
        for (refused, why) in [(setup.clone(), "sealed"), (with_key(&setup, &other), "another key")] {
            let line = refused.try_start().err().unwrap().join("\n");
            assert!(line.contains(why), "{point}: {line}");
        }
        server.start_again_as(&with_key(&setup, &key));
        planted.assert_none_found(setup.folder(), point);
        assert_delivers(&server.client(), &receiver, &account.token, &working, 1);
        server.kill();
        planted.assert_none_found(setup.folder(), point);
    }
}

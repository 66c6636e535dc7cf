//! Receivers that answer before they have read a request, and receivers that end the connection while they read.

use serde_json::{Value, json};

use crate::harness::client::text;
use crate::harness::room::{Room, detail, ended, large};
use crate::harness::wait_until;

/// More bytes than the buffers of both sides hold.
const LARGE: usize = 900_000;

#[test]
fn an_answer_counts_though_the_request_was_not_read_and_the_connection_is_closed() {
    Room::both(&[], |room| {
        for (status, state) in
            [(200, "succeeded"), (204, "succeeded"), (401, "exhausted"), (413, "exhausted"), (500, "exhausted")]
        {
            for size in [60_000, LARGE] {
                let receiver = room.played(move |scene| {
                    scene.head();
                    // Input is unread, so the close that follows sends RST.
                    scene.say(format!("HTTP/1.1 {status} Early\r\ncontent-length: 5\r\n\r\nearly"));
                });
                let delivery = room.delivery_to(&receiver.url("/"), &large(size));
                let error = if status < 300 { Value::Null } else { json!("status") };
                ended(&delivery, state, status, error);
                assert_eq!(receiver.requests(), 1);
            }
        }
    });
}

#[test]
fn an_answer_counts_though_the_request_is_never_read_and_the_connection_stays_open() {
    // Longer than a test may take, so that no timeout ends an attempt.
    Room::both(&["--timeout", "5m"], |room| {
        for (status, state) in [(200, "succeeded"), (413, "exhausted")] {
            let receiver = room.played(move |scene| {
                scene.head();
                scene.say(format!("HTTP/1.1 {status} Early\r\ncontent-length: 5\r\n\r\nearly"));
                scene.wait_for_the_peer();
            });
            let delivery = room.delivery_to(&receiver.url("/"), &large(LARGE));
            assert_eq!((&delivery["state"], &delivery["status_code"]), (&json!(state), &json!(status)), "{delivery}");
            assert_eq!(delivery["attempts"][0]["response_body"], "early");
        }
    });
}

#[test]
fn a_410_pauses_and_a_429_holds_though_the_request_was_not_read() {
    Room::both(&["--retry-schedule=1h"], |room| {
        for status in [410, 429] {
            let receiver = room.played(move |scene| {
                scene.head();
                scene.say(format!("HTTP/1.1 {status} Early\r\nretry-after: 600\r\ncontent-length: 0\r\n\r\n"));
            });
            let destination = room.destination(&receiver.url("/"));
            ended(&room.delivery(&large(LARGE)), "pending", status, "status");
            let path = format!("/v1/destinations/{destination}");
            let after = room.client.get(&path).expect(200).json();
            if status == 410 {
                assert_eq!(after["paused_reason"], "gone", "{after}");
            } else {
                assert!(after["held_until"].is_string(), "{after}");
            }
            room.client.delete(&path).expect(204);
        }
    });
}

#[test]
fn who_says_200_early_and_reads_on_gets_all_of_it() {
    Room::both(&[], |room| {
        let (bodies, read) = std::sync::mpsc::channel();
        let receiver = room.played(move |scene| {
            let Some(fields) = scene.head() else { return };
            scene.say("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
            let _ = bodies.send(scene.body(&fields).map(|body| body.len()));
            scene.finish();
        });
        ended(&room.delivery_to(&receiver.url("/"), &large(LARGE)), "succeeded", 200, Value::Null);
        assert_eq!(read.recv().unwrap(), Some(LARGE + 2));
    });
}

#[test]
fn an_interim_answer_does_not_end_the_request() {
    Room::both(&[], |room| {
        let receiver = room.played(|scene| {
            let Some(fields) = scene.head() else { return };
            scene
                .say("HTTP/1.1 100 Continue\r\nx-a: b\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\nHTTP/1.1 1");
            let length = scene.body(&fields).map_or(0, |body| body.len());
            scene.say(format!("02 Processing\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\n{length}"));
            scene.finish();
        });
        let delivery = room.delivery_to(&receiver.url("/"), &large(LARGE));
        ended(&delivery, "succeeded", 200, Value::Null);
        assert_eq!(delivery["attempts"][0]["response_body"], (LARGE + 2).to_string());
    });
}

#[test]
fn a_connection_on_which_a_request_was_not_read_is_not_used_again() {
    Room::both(&[], |room| {
        let receiver = room.played(|scene| {
            scene.head();
            scene.say("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
            scene.wait_for_the_peer();
        });
        room.destination(&receiver.url("/"));
        for nth in 1..=3 {
            ended(&room.delivery(&large(LARGE)), "succeeded", 200, Value::Null);
            assert_eq!(receiver.requests(), nth);
        }
    });
}

#[test]
fn a_reset_after_a_part_of_the_request_was_read_is_one_request_of_one_attempt() {
    Room::both(&[], |room| {
        for size in [20_000, LARGE] {
            let receiver = room.played(|scene| {
                scene.request();
                scene.say("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
                // The second request, on the kept connection.
                if scene.head().is_some() {
                    scene.part(4_000);
                    scene.reset();
                }
            });
            room.destination(&receiver.url("/"));
            ended(&room.delivery("1"), "succeeded", 200, Value::Null);
            let delivery = room.delivery(&large(size));
            ended(&delivery, "exhausted", Value::Null, "reset");
            assert!(detail(&delivery).contains("before an answer came"), "{delivery}");
            assert_eq!(receiver.requests(), 2, "{size}");
            room.client.delete(&format!("/v1/destinations/{}", text(&delivery, "destination_id"))).expect(204);
        }
    });
}

#[test]
fn who_closes_while_the_request_is_sent_and_says_nothing_is_a_reset() {
    Room::both(&["--timeout", "5m"], |room| {
        let receiver = room.played(|scene| {
            scene.head();
            scene.finish();
            scene.wait_for_the_peer();
        });
        ended(&room.delivery_to(&receiver.url("/"), &large(LARGE)), "exhausted", Value::Null, "reset");
    });
}

#[test]
fn who_reads_nothing_and_says_nothing_is_a_timeout() {
    Room::both(&["--timeout", "500ms"], |room| {
        let receiver = room.played(|scene| {
            scene.head();
            scene.wait_for_the_peer();
        });
        let delivery = room.delivery_to(&receiver.url("/"), &large(LARGE));
        ended(&delivery, "exhausted", Value::Null, "timeout");
        let took = delivery["attempts"][0]["duration_ms"].as_u64().unwrap();
        assert!((450..20_000).contains(&took), "{took} ms");
    });
}

#[test]
fn an_answer_larger_than_all_buffers_before_the_request_is_read_stops_nobody() {
    Room::both(&[], |room| {
        let receiver = room.played(|scene| {
            let Some(fields) = scene.head() else { return };
            // Like an echo, the receiver reads on only after this answer was read.
            scene.say(format!("HTTP/1.1 200 OK\r\ncontent-length: 8000000\r\n\r\n{}", "y".repeat(8_000_000)));
            scene.body(&fields);
            scene.finish();
        });
        let delivery = room.delivery_to(&receiver.url("/"), &large(LARGE));
        ended(&delivery, "succeeded", 200, Value::Null);
        assert_eq!(delivery["attempts"][0]["response_body_truncated"], true);
        wait_until("it is heard", || (receiver.requests() == 1).then_some(()));
    });
}

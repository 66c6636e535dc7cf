//! Answers that are unusual, or broken after their status line. The status counts, and the detail of the attempt says
//! what was wrong.

use serde_json::{Value, json};

use crate::harness::room::{Room, detail, ended};
use crate::harness::{Behaviour, wait_until};

/// A receiver that sends `answer` to every request and keeps the connection.
fn always(room: &Room, answer: &[u8]) -> crate::harness::played::Played {
    let answer = answer.to_vec();
    room.played(move |scene| {
        while scene.request().is_some() {
            scene.say(&answer);
        }
    })
}

#[test]
fn interim_answers_with_fields_are_passed_over() {
    Room::both(&[], |room| {
        let long = "x".repeat(70_000);
        for interim in [
            "HTTP/1.1 100 Continue\r\nserver: x\r\ndate: now\r\n\r\n",
            "HTTP/1.1 100 Continue\r\n\r\n",
            "HTTP/1.1 103 Early Hints\r\nlink: </a>; rel=preload\r\n\r\nHTTP/1.1 100 Continue\r\nx: y\r\n\r\n",
            "HTTP/1.0 100 Continue\r\nx: y\r\n\r\n",
            "\r\nHTTP/1.1 100\r\nx: y\r\n\r\n",
            // Longer than the longest head that is accepted for a final answer.
            &format!("HTTP/1.1 103 Early Hints\r\nlink: {long}\r\n\r\n").repeat(3),
        ] {
            let answer = format!("{interim}HTTP/1.1 201 Created\r\ncontent-length: 2\r\n\r\nok");
            let receiver = always(room, answer.as_bytes());
            let destination = room.destination(&receiver.url("/"));
            for _ in 0..2 {
                let delivery = room.delivery("1");
                ended(&delivery, "succeeded", 201, Value::Null);
                assert_eq!(delivery["attempts"][0]["response_body"], "ok");
                assert_eq!(delivery["attempts"][0]["detail"], Value::Null);
            }
            room.client.delete(&format!("/v1/destinations/{destination}")).expect(204);
        }
    });
}

#[test]
fn chunk_extensions_of_any_length_are_passed_over_and_the_connection_is_kept() {
    Room::both(&[], |room| {
        let long = "x".repeat(100_000);
        for (nth, extension) in
            ["", ";a=b", ";name=\"a value; longer than twenty bytes\"", &format!(";{long}")].iter().enumerate()
        {
            let path = format!("/{nth}");
            let body = format!(
                "0005{extension}\r\nhello\r\na{extension}\r\n5;x\r\n0\r\n\r\n\r\n0{extension}\r\nx-trailer: {extension}\r\n\r\n"
            );
            let answer = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n{body}");
            let receiver = always(room, answer.as_bytes());
            let destination = room.destination(&receiver.url(&path));
            for _ in 0..2 {
                let delivery = room.delivery("1");
                ended(&delivery, "succeeded", 200, Value::Null);
                assert_eq!(delivery["attempts"][0]["detail"], Value::Null, "{delivery}");
                assert_eq!(delivery["attempts"][0]["response_body"], "hello5;x\r\n0\r\n\r\n");
            }
            room.client.delete(&format!("/v1/destinations/{destination}")).expect(204);
        }
    });
}

#[test]
fn a_body_that_breaks_off_costs_no_status() {
    Room::both(&[], |room| {
        let head = "HTTP/1.1 200 OK\r\n";
        for (rest, said, kept) in [
            ("content-length: 100\r\n\r\nshort", "broke off after 5 of 100 bytes", "short"),
            ("content-length: 1\r\n\r\n", "broke off after 0 of 1 bytes", ""),
            ("transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n", "broke off after 5 bytes", "hello"),
            ("transfer-encoding: chunked\r\n\r\n10\r\nhello", "broke off after 5 bytes", "hello"),
            ("transfer-encoding: chunked\r\n\r\nzz\r\nhello\r\n0\r\n\r\n", "not a hexadecimal number", ""),
            ("transfer-encoding: chunked\r\n\r\n2\r\nhello\r\n0\r\n\r\n", "longer than its size says", "he"),
        ] {
            for reset in [false, true] {
                let answer = format!("{head}{rest}");
                let receiver = room.played(move |scene| {
                    scene.request();
                    scene.say(&answer);
                    if !reset {
                        return scene.finish();
                    }
                    scene.reset();
                });
                let delivery = room.delivery_to(&receiver.url("/"), "1");
                ended(&delivery, "succeeded", 200, Value::Null);
                // After a RST the system decides how many of the earlier bytes can be read.
                if !reset {
                    assert!(detail(&delivery).contains(said), "{rest}: {delivery}");
                    assert_eq!(delivery["attempts"][0]["response_body"], kept, "{delivery}");
                } else {
                    assert!(!detail(&delivery).is_empty(), "{delivery}");
                }
                assert_eq!(receiver.requests(), 1);
            }
        }
    });
}

#[test]
fn what_a_broken_answer_asks_for_is_done() {
    Room::both(&["--retry-schedule=1h"], |room| {
        for (status, field) in [(410, "paused_reason"), (503, "held_until")] {
            let receiver = room.receiver();
            let answer = format!("HTTP/1.1 {status} No\r\nretry-after: 600\r\ncontent-length: 9\r\n\r\nno");
            receiver.on("/", Behaviour::Raw(answer.into_bytes()));
            let destination = room.destination(&receiver.url("/"));
            let delivery = room.delivery("1");
            ended(&delivery, "pending", status, "status");
            assert!(detail(&delivery).contains("broke off after 2 of 9 bytes"), "{delivery}");
            let path = format!("/v1/destinations/{destination}");
            assert!(room.client.get(&path).expect(200).json()[field].is_string());
            room.client.delete(&path).expect(204);
        }
    });
}

#[test]
fn a_body_that_never_ends_costs_no_status() {
    Room::both(&["--timeout", "700ms"], |room| {
        for (status, state, error) in [(200, "succeeded", Value::Null), (500, "exhausted", json!("status"))] {
            let receiver = room.played(move |scene| {
                scene.request();
                scene.say(format!("HTTP/1.1 {status} Whatever\r\ncontent-length: 1000\r\n\r\nsome"));
                scene.wait_for_the_peer();
            });
            let delivery = room.delivery_to(&receiver.url("/"), "1");
            ended(&delivery, state, status, error);
            assert!(detail(&delivery).contains("did not end in time; 4 of 1000 bytes of it came"), "{delivery}");
            assert_eq!(delivery["attempts"][0]["response_body"], "some");
        }
    });
}

#[test]
fn a_body_of_its_own_end_is_whole_where_the_connection_ends() {
    Room::both(&[], |room| {
        let receiver = room.receiver();
        let answer = b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nall of it".to_vec();
        receiver.on("/whole", Behaviour::Raw(answer.clone()));
        let delivery = room.delivery_to(&receiver.url("/whole"), "1");
        ended(&delivery, "succeeded", 200, Value::Null);
        assert_eq!((detail(&delivery).as_str(), &delivery["attempts"][0]["response_body"]), ("", &json!("all of it")));
        receiver.on("/cut", Behaviour::Cut(answer));
        let delivery = room.delivery_to(&receiver.url("/cut"), "1");
        ended(&delivery, "succeeded", 200, Value::Null);
        // Only TLS can show that the end was cut.
        assert_eq!(detail(&delivery).contains("close_notify"), room.is_tls(), "{delivery}");
        assert_eq!(delivery["attempts"][0]["response_body"], "all of it");
    });
}

#[test]
fn a_body_behind_a_204_that_comes_late_does_not_fail_the_next_delivery() {
    Room::both(&[], |room| {
        for late in ["late", "{\"ok\":true}\r\n", "HTTP is not HTTP/2\n"] {
            let receiver = room.played(move |scene| {
                let mut say_late = "";
                while let Some(fields) = scene.head() {
                    // By now the next request is being sent.
                    scene.say(say_late);
                    scene.body(&fields);
                    scene.say("HTTP/1.1 204 No Content\r\ncontent-length: 4\r\n\r\n");
                    say_late = late;
                }
            });
            let destination = room.destination(&receiver.url("/"));
            for nth in 1..=4 {
                ended(&room.delivery("1"), "succeeded", 204, Value::Null);
                assert_eq!(receiver.requests(), nth, "{late}");
            }
            room.client.delete(&format!("/v1/destinations/{destination}")).expect(204);
        }
    });
}

#[test]
fn an_attempt_that_is_cut_at_the_end_keeps_the_status_that_it_has() {
    Room::both(&["--timeout", "5m", "--shutdown-grace", "0s"], |room| {
        let (said, hear) = std::sync::mpsc::channel();
        let receiver = room.played(move |scene| {
            scene.request();
            scene.say("HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\nsome");
            let _ = said.send(());
            scene.wait_for_the_peer();
        });
        room.destination(&receiver.url("/"));
        room.client.push(&room.account, "1");
        hear.recv().unwrap();
        room.server.signal(libc::SIGTERM);
        let stopped = |line: &String| line.contains("\"message\":\"stopped\"");
        wait_until("it has stopped", || room.server.log.lines().iter().any(stopped).then_some(()));
        let file = rusqlite::Connection::open(room.server.setup().database_path()).unwrap();
        let state: i64 = file.query_row("SELECT state FROM delivery", [], |row| row.get(0)).unwrap();
        assert_eq!(state, 1, "it would be sent again at the next start");
    });
}

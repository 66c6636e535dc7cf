//! A full disk: nothing is acknowledged that is not stored, and the server goes on once there is space.

use std::collections::HashMap;
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use serde_json::{Value, json};

use crate::campaign::{Durations, READY_WITHIN, Report, either};
use crate::harness::client::text;
use crate::harness::{Behaviour, Gate, Receiver, Reply, Server, Setup, wait_until};

/// Mounts a small file system at the first argument, in a namespace that ends with the server. Then runs the server.
const ON_A_SMALL_DISK: &str = "mount -t tmpfs -o size=24m tmpfs \"$0\" && exec \"$@\"";

/// A server on a disk of 24 MiB; `None` where none can be mounted.
fn on_a_small_disk(report: &mut Report) -> Option<(Server, PathBuf)> {
    let probe = Command::new("unshare").args(["-rm", "mount", "-t", "tmpfs", "tmpfs", "/mnt"]).output();
    if !probe.as_ref().is_ok_and(|ended| ended.status.success()) {
        report.skip(format!("no small disk can be mounted: {probe:?}"));
        return None;
    }
    let setup = Setup::dev();
    let disk = setup.folder().join("disk");
    std::fs::create_dir(&disk).unwrap();
    let disk_text = disk.display().to_string();
    let wrapper = ["unshare", "-rm", "sh", "-c", ON_A_SMALL_DISK, disk_text.as_str()];
    let server = setup.database(&disk.join("test.db")).flags(&["--retry-schedule", "100ms"]).through(&wrapper).start();
    // The mount is visible only inside the namespace.
    let seen = PathBuf::from(format!("/proc/{}/root{disk_text}", server.process_id()));
    assert!(seen.join("test.db").exists(), "{} is not the disk", seen.display());
    Some((server, seen))
}

/// Fills the disk to its last byte.
fn fill(disk: &Path) -> PathBuf {
    let path = disk.join("filler");
    let mut file = File::create(&path).unwrap();
    let block = vec![0; 64 * 1024];
    while file.write_all(&block).is_ok() {}
    while file.write_all(&[0; 512]).is_ok() {}
    path
}

pub fn a_full_disk_acknowledges_nothing_that_it_cannot_keep_and_recovers(report: &mut Report) {
    let Some((server, disk)) = on_a_small_disk(report) else { return };
    let (client, receiver) = (server.client(), Receiver::start());
    let account = client.create_account("ada");
    client.create_destination(&account, &receiver.url("/in"), "POST", json!({}));
    let mut acknowledged = HashMap::new();
    let mut number = 0;
    let mut push = |acknowledged: &mut HashMap<String, String>| {
        number += 1;
        let body = format!("{{\"n\":{number},\"fat\":\"{}\"}}", "x".repeat(8_000));
        let key = format!("key {number}");
        let answer = client.push_with(&account.token, &[("idempotency-key", &key)], body.as_bytes());
        match answer.status {
            202 => {
                acknowledged.insert(text(&answer.json(), "event_id"), body);
                None
            }
            _ => {
                answer.problem(503);
                let wait = answer.header("retry-after").expect("Retry-After");
                assert!(wait.parse::<u64>().is_ok_and(|seconds| seconds > 0), "{wait}");
                Some((key, body))
            }
        }
    };
    for _ in 0..20 {
        assert!(push(&mut acknowledged).is_none(), "there is room");
    }

    let (mut ready, mut all_refused) = (Durations::default(), 0);
    for _ in 0..either(2, 20) {
        let filler = fill(&disk);
        let mut refused = Vec::new();
        wait_until("it refuses what it cannot keep", || {
            refused.extend(push(&mut acknowledged));
            (refused.len() >= 30).then_some(())
        });
        client.get("/healthz").expect(200);
        client.get("/readyz").problem(503);
        client.get("/v1/accounts").expect(200);
        client.get(&format!("/v1/accounts/{}/events", account.id)).expect(200);

        std::fs::remove_file(filler).unwrap();
        let room = Instant::now();
        wait_until("it takes events again", || push(&mut acknowledged).is_none().then_some(()));
        wait_until("it is ready", || (client.get("/readyz").status == 200).then_some(()));
        ready.add(room.elapsed());
        all_refused += refused.len();
        // Refused events were not stored: sent again under the same key, each is accepted now, and once.
        for (key, body) in refused {
            let accepted = wait_until("a refused event is taken", || {
                let answer = client.push_with(&account.token, &[("idempotency-key", &key)], body.as_bytes());
                (answer.status == 202).then(|| answer.json())
            });
            assert_eq!(accepted["duplicate"], json!(false), "{key} was refused, but kept");
            acknowledged.insert(text(&accepted, "event_id"), body);
        }
    }

    for (id, body) in &acknowledged {
        assert!(client.get(&format!("/v1/events/{id}")).expect(200).text().contains(body.as_str()), "{id}");
    }
    let stored = client.all(&format!("/v1/accounts/{}/events?limit=200", account.id));
    assert_eq!(stored.len(), acknowledged.len());
    wait_until("each has arrived and is known to have", || {
        let open: Vec<Value> =
            client.all("/v1/deliveries?limit=200").into_iter().filter(|d| d["state"] != "succeeded").collect();
        open.is_empty().then_some(())
    });
    let arrived: HashMap<String, usize> =
        receiver.requests_to("/in").iter().fold(HashMap::new(), |mut counts, request| {
            *counts.entry(request.headers.get("webhook-id").unwrap().to_owned()).or_default() += 1;
            counts
        });
    let repeated: Vec<_> = arrived.iter().filter(|(_, count)| **count > 1).collect();
    report.figure("acknowledged", acknowledged.len());
    report.figure("refused with 503", all_refused);
    report.figure("lost", acknowledged.keys().filter(|id| !arrived.contains_key(*id)).count());
    report.figure("repeats", repeated.len());
    report.figure("ready again after", &ready);
    assert!(acknowledged.keys().all(|id| arrived.contains_key(id)));
    assert!(ready.longest() <= READY_WITHIN);
    assert!(repeated.is_empty(), "a full disk made it send again: {repeated:?}");
}

pub fn an_outcome_that_cannot_be_written_is_kept_and_written_later(report: &mut Report) {
    let Some((server, disk)) = on_a_small_disk(report) else { return };
    let (client, receiver) = (server.client(), Receiver::start());
    let account = client.create_account("ada");
    let gate = Gate::default();
    // The answer is long enough that its outcome needs new space in the log.
    let reply = Reply::status(200).body("y".repeat(16_000));
    receiver.on("/in", Behaviour::Hold(gate.clone(), reply));
    client.create_destination(&account, &receiver.url("/in"), "POST", json!({}));
    let delivery = client.push_one(&account, "{}");
    receiver.wait_for("/in", 1);
    let filler = fill(&disk);
    gate.open();
    wait_until("it refuses what it cannot keep", || {
        let answer = client.push_with(&account.token, &[], format!("\"{}\"", "x".repeat(8_000)).as_bytes());
        (answer.status == 503).then_some(())
    });
    std::fs::remove_file(filler).unwrap();
    let delivery = client.wait_for_state(&delivery, "succeeded");
    assert_eq!(delivery["attempt_count"], 1);
    let sent = receiver.requests_to("/in").iter().filter(|request| request.body == b"{}").count();
    assert_eq!(sent, 1);
}

//! Rules that rows keep among each other, each as a condition in SQL for the rows that break it. Values of a single
//! column that SQL cannot read are in `values.rs`.

use rusqlite::Connection;

use super::fault::{Faults, Many, RESTORE};
use crate::domain::delivery::ErrorClass;
use crate::domain::destination::MAX_PER_ACCOUNT;
use crate::domain::ids::{DeliveryId, EventId};
use crate::domain::time::Timestamp;

/// A due time that lies further ahead than this comes from a wrong clock, in milliseconds (400 days).
const MAX_AHEAD: i64 = 400 * 24 * 3600 * 1000;

const START_MENDS: &str = "start the server again: a start sets it right";
const HARMLESS: &str = "harmless; to be rid of it, stop the server and delete the rows with sqlite3";

/// How the number of a row is shown.
#[derive(Debug, Clone, Copy)]
enum Shown {
    Event,
    Delivery,
    Number,
}

/// Conditions that are looked for in one walk over some tables.
pub struct Rule {
    /// What is walked over.
    pub name: &'static str,
    from: &'static str,
    /// Number of the row, for people.
    id: &'static str,
    shown: Shown,
    conditions: &'static [Condition],
}

struct Condition {
    code: &'static str,
    what: &'static str,
    /// Holds for rows that break the rule. `:now` is the wall clock, `:errors` the words for errors, `:deliveries` the
    /// most deliveries of an event.
    wrong: &'static str,
    advice: &'static str,
}

const fn condition(code: &'static str, what: &'static str, wrong: &'static str, advice: &'static str) -> Condition {
    Condition { code, what, wrong, advice }
}

/// All rules.
pub const ALL: &[Rule] = &[
    Rule {
        name: "events",
        from: "event e",
        id: "e.id",
        shown: Shown::Event,
        conditions: &[
            condition("event_id", "events without a valid id", "e.id <= 0", RESTORE),
            condition(
                "event_time",
                "events that were received after their id was made",
                "e.received_at > (e.id >> 21)",
                RESTORE,
            ),
        ],
    },
    Rule {
        name: "deliveries",
        from: "delivery v LEFT JOIN event e ON e.id = v.event_id LEFT JOIN destination d ON d.key = v.destination_key",
        id: "v.id",
        shown: Shown::Delivery,
        conditions: &[
            condition(
                "delivery_without_destination",
                "deliveries whose destination is not there",
                "d.key IS NULL",
                RESTORE,
            ),
            condition(
                "delivery_of_another_account",
                "deliveries whose destination belongs to another account than their event",
                "d.account_key <> e.account_key",
                RESTORE,
            ),
            condition(
                "delivery_before_its_destination",
                "deliveries with an id from before their destination",
                "v.id <= d.first_id",
                RESTORE,
            ),
            condition(
                "delivery_id",
                "deliveries whose id does not follow that of their event",
                "v.id <= v.event_id OR v.id > v.event_id + :deliveries",
                RESTORE,
            ),
            condition("delivery_state", "deliveries without a known state", "v.state NOT IN (0, 1, 2, 3)", RESTORE),
            condition(
                "delivery_numbers",
                "deliveries with a negative number of attempts or failures",
                "v.attempt_count < 0 OR v.step < 0",
                RESTORE,
            ),
            condition(
                "delivery_error",
                "deliveries with an unknown error",
                "v.error NOT IN (SELECT value FROM json_each(:errors))",
                RESTORE,
            ),
            condition(
                "pending_time",
                "pending deliveries with an impossible due time",
                "v.state = 0 AND (v.next_attempt_at < 0 OR v.next_attempt_at > :now)",
                START_MENDS,
            ),
            condition(
                "success_without_answer",
                "deliveries that succeeded without an answer that says so",
                "v.state = 1 AND (v.attempt_count = 0
                     OR v.attempt_count = 1 AND coalesce(v.status_code, 0) NOT BETWEEN 200 AND 299)",
                RESTORE,
            ),
            condition(
                "exhausted_without_error",
                "exhausted deliveries without an error",
                "v.state = 2 AND v.error IS NULL",
                RESTORE,
            ),
            condition(
                "attempts_missing",
                "deliveries with another number of attempts than they should have",
                "v.attempt_count <> (v.first_duration_ms IS NOT NULL)
                     + (SELECT count(*) FROM attempt a WHERE a.delivery_id = v.id)",
                RESTORE,
            ),
            condition(
                "first_attempt",
                "deliveries whose first attempt lacks its time or its place",
                "v.first_duration_ms IS NOT NULL AND (v.last_attempt_at IS NULL OR v.attempt_count <> 1)",
                RESTORE,
            ),
        ],
    },
    Rule {
        name: "attempts",
        from: "attempt a JOIN delivery v ON v.id = a.delivery_id",
        id: "v.id",
        shown: Shown::Delivery,
        conditions: &[
            condition(
                "attempt_number",
                "attempts whose number is none of their delivery's",
                "a.number < 1 OR a.number > v.attempt_count",
                RESTORE,
            ),
            condition(
                "attempt_error",
                "attempts with an unknown error",
                "a.error NOT IN (SELECT value FROM json_each(:errors))",
                RESTORE,
            ),
        ],
    },
    Rule {
        name: "event types",
        from: "event_type t LEFT JOIN event e ON e.id = t.event_id",
        id: "t.event_id",
        shown: Shown::Event,
        conditions: &[
            condition("event_type_without_event", "event types whose event is not there", "e.id IS NULL", HARMLESS),
            condition("event_type", "event types that are none", "length(t.name) NOT BETWEEN 1 AND 128", RESTORE),
        ],
    },
    Rule {
        name: "made bodies",
        from: "request_body r LEFT JOIN delivery v ON v.id = r.delivery_id",
        id: "r.delivery_id",
        shown: Shown::Delivery,
        conditions: &[
            condition(
                "request_body_without_delivery",
                "sent bodies whose delivery is not there",
                "v.id IS NULL",
                HARMLESS,
            ),
            condition(
                "request_body_number",
                "sent bodies whose attempt is not there",
                "r.number < 1 OR r.number > v.attempt_count",
                HARMLESS,
            ),
        ],
    },
    Rule {
        name: "manual actions",
        from: "manual_action m LEFT JOIN delivery v ON v.id = m.delivery_id",
        id: "m.delivery_id",
        shown: Shown::Delivery,
        conditions: &[
            condition(
                "action_without_delivery",
                "manual actions whose delivery is not there",
                "v.id IS NULL",
                HARMLESS,
            ),
            condition("action_kind", "manual actions of an unknown kind", "m.action NOT IN (0, 1, 2)", RESTORE),
        ],
    },
    Rule {
        name: "statistics",
        from: "tally y",
        id: "y.destination_key",
        shown: Shown::Number,
        conditions: &[
            condition("tally_start", "counts that begin within a minute", "y.start % 60000 <> 0", HARMLESS),
            condition(
                "tally_count",
                "counts below zero",
                "min(y.accepted, y.succeeded, y.failed, y.exhausted, y.events, y.skipped) < 0",
                HARMLESS,
            ),
        ],
    },
    Rule {
        name: "recent statistics",
        from: "tally_recent y",
        id: "y.id",
        shown: Shown::Number,
        conditions: &[condition(
            "tally_recent",
            "recent counts of a wrong length",
            "length(y.counts) = 0 OR length(y.counts) % 64 <> 0",
            HARMLESS,
        )],
    },
    Rule {
        name: "tokens",
        from: "(SELECT token_digest AS digest FROM account WHERE deleted_at IS NULL UNION ALL
                SELECT old_token_digest FROM account WHERE deleted_at IS NULL AND old_token_digest IS NOT NULL) g
               JOIN account a ON a.token_digest = g.digest AND a.deleted_at IS NULL GROUP BY a.key HAVING count(*) > 1",
        id: "a.key",
        shown: Shown::Number,
        conditions: &[condition(
            "token_of_two_accounts",
            "accounts whose token another account has too",
            "1",
            "rotate the tokens of these accounts",
        )],
    },
    Rule {
        name: "tokens with a role",
        from: "access_token t",
        id: "t.key",
        shown: Shown::Number,
        conditions: &[
            condition(
                "access_token",
                "tokens with a role that cannot be read",
                "length(t.token_digest) <> 32 OR t.role NOT IN ('viewer', 'operator', 'admin') OR t.name = ''
                     OR t.token_id NOT GLOB 'tok_*'",
                "set the server's tokens right: with sqlite3 delete these rows, and create the tokens again",
            ),
            condition(
                "access_token_of_deleted_account",
                "tokens with a role whose account is deleted",
                "t.account_key IN (SELECT key FROM account WHERE deleted_at IS NOT NULL)",
                HARMLESS,
            ),
        ],
    },
    Rule {
        name: "sequences",
        from: "sqlite_sequence q",
        id: "q.rowid",
        shown: Shown::Number,
        conditions: &[condition(
            "sequence",
            "sequences that would use a key again",
            "q.name = 'account' AND q.seq < (SELECT max(key) FROM account)
                 OR q.name = 'destination' AND q.seq < (SELECT max(key) FROM destination)",
            RESTORE,
        )],
    },
];

/// Looks for the rows that break `rule`, in one walk.
pub fn check(connection: &Connection, rule: &Rule, now: Timestamp, faults: &mut Faults) -> rusqlite::Result<()> {
    let errors = serde_json::Value::from(ErrorClass::ALL.map(ErrorClass::as_str).to_vec()).to_string();
    let filled = |condition: &Condition| {
        let wrong = condition.wrong.replace(":now", &now.millis().saturating_add(MAX_AHEAD).to_string());
        let wrong = wrong.replace(":deliveries", &MAX_PER_ACCOUNT.to_string());
        wrong.replace(":errors", &format!("'{errors}'"))
    };
    let columns: Vec<String> = rule
        .conditions
        .iter()
        .map(filled)
        .map(|wrong| format!("({wrong}) IS TRUE"))
        .enumerate()
        .map(|(at, wrong)| format!("{wrong} AS w{at}"))
        .collect();
    let sums: Vec<String> =
        (0..columns.len()).map(|at| format!("coalesce(sum(w{at}), 0), min(CASE WHEN w{at} THEN i END)")).collect();
    let query =
        format!("SELECT {} FROM (SELECT {} AS i, {} FROM {})", sums.join(", "), rule.id, columns.join(", "), rule.from);
    let found: Vec<(u64, Option<i64>)> = connection.query_row(&query, [], |row| {
        (0..columns.len()).map(|at| Ok::<_, rusqlite::Error>((row.get(2 * at)?, row.get(2 * at + 1)?))).collect()
    })?;
    for (condition, (count, first)) in rule.conditions.iter().zip(found) {
        let first = first.unwrap_or_default();
        let shown = match rule.shown {
            Shown::Event => EventId(first).to_string(),
            Shown::Delivery => DeliveryId(first).to_string(),
            Shown::Number => format!("row {first}"),
        };
        faults.add_many(condition.code, condition.what, &Many::of(count, shown), condition.advice);
    }
    Ok(())
}

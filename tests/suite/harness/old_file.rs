//! Files as servers of earlier versions left them.

use std::path::Path;

use rusqlite::Connection;

/// Application id of a data-pusher file: "DPsh".
pub const APPLICATION_ID: i64 = 0x4450_7368;

/// Schemas of earlier versions.
const SCHEMAS: [&str; 6] = [
    include_str!("../../schemas/1.sql"),
    include_str!("../../schemas/2.sql"),
    include_str!("../../schemas/3.sql"),
    include_str!("../../schemas/4.sql"),
    include_str!("../../schemas/5.sql"),
    include_str!("../../schemas/6.sql"),
];

/// Number of earlier versions.
pub const VERSIONS: usize = SCHEMAS.len();

/// First version whose files have a mark.
const MARKED_SINCE: usize = 4;

/// A file as a server of this version left it after a clean stop. One delivery has succeeded, and one has failed once
/// and is pending.
pub fn create(version: usize, path: &Path, url: &str) {
    let hour_ago = jiff::Timestamp::now().as_millisecond() - 3_600_000;
    let (old, young) = (hour_ago << 21, (hour_ago << 21) + 2);
    let file = Connection::open(path).unwrap();
    file.execute_batch("PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = WAL").unwrap();
    file.execute_batch(SCHEMAS[version - 1]).unwrap();
    file.execute_batch(&format!(
        "PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {version};
         INSERT INTO account (account_id, email, email_folded, name, token_digest, token_hint, created_at, updated_at)
         VALUES ('acc_old', 'ada@example.com', 'ada@example.com', 'Ada', zeroblob(32), 'aaaa', 0, 0);
         INSERT INTO destination (destination_id, account_key, url, http_method, headers, secret, created_at, updated_at)
         VALUES ('dst_old', 1, '{url}', 'POST', '{{}}', zeroblob(32), 0, 0);
         INSERT INTO event (id, account_key, received_at, payload)
         VALUES ({old}, 1, {hour_ago}, CAST('1' AS BLOB)), ({young}, 1, {hour_ago}, CAST('2' AS BLOB));
         INSERT INTO delivery (id, event_id, destination_key, state, step, attempt_count, next_attempt_at,
         last_attempt_at, status_code, error)
         VALUES ({old} + 1, {old}, 1, 1, 0, 1, 0, 1000, 201, NULL), ({young} + 1, {young}, 1, 0, 1, 1, 2000, 1500, 500, 'status');
         INSERT INTO attempt (delivery_id, number, at, duration_ms, status_code, error, body, body_truncated)
         VALUES ({old} + 1, 1, 1000, 7, 201, NULL, CAST('taken' AS BLOB), 0),
         ({young} + 1, 1, 1500, 8, 500, 'status', CAST('no' AS BLOB), 0)"
    ))
    .unwrap();
    if version >= MARKED_SINCE {
        let cookie: u32 = 0x0123_4567;
        file.pragma_update(None, "schema_version", cookie).unwrap();
        let random: Vec<u8> = (0..16).map(|_| fastrand::u8(..)).collect();
        let cookie = cookie.to_be_bytes();
        let mark = [b"DPshMark", &[0; 16][..], &random, &cookie, &cookie, &[0]].concat();
        file.execute("INSERT INTO log_mark (id, mark) VALUES (1, ?1)", [mark]).unwrap();
    }
}

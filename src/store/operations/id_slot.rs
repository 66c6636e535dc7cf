//! Which slot the ids of new events have. What a slot is for is said in `domain/ids.rs`.

use rusqlite::{Connection, OptionalExtension as _};

use crate::domain::ids::IdSlot;
use crate::error::Result;
use crate::store::commit::transaction::Transaction;
use crate::store::error::sql;

const SET: &str = "INSERT OR REPLACE INTO id_slot (id, slot, place) VALUES (1, ?1, ?2)";

/// The slot of a file at `place`, for the one connection of a start. A new file gets one, and a copy another one than its
/// original has.
///
/// # Errors
/// Those of the file.
pub fn at_start(connection: &Connection, place: i64) -> Result<IdSlot> {
    let known = stored(connection)?;
    if let Some((Some(slot), chosen_for)) = known
        && chosen_for == place
    {
        return Ok(slot);
    }
    let slot = known.and_then(|(slot, _)| slot).map_or_else(IdSlot::random, IdSlot::other);
    connection.execute(SET, (slot.number(), place)).map_err(sql)?;
    Ok(slot)
}

/// The slot of a file; `None` before the first start of a server.
///
/// # Errors
/// Those of the file.
pub fn of(connection: &Connection) -> Result<Option<IdSlot>> {
    Ok(stored(connection)?.and_then(|(slot, _)| slot))
}

/// Takes another slot if the file has `foreign`, the slot of a file whose accounts are imported.
///
/// # Errors
/// Those of the file.
pub fn avoid(tx: &mut Transaction<'_>, foreign: IdSlot) -> Result<()> {
    let Some((Some(slot), place)) = stored(tx.connection())?.filter(|(slot, _)| *slot == Some(foreign)) else {
        return Ok(());
    };
    let other = slot.other();
    tx.run(SET, (other.number(), place))?;
    // Where the commit fails, the new slot is as good as the old one.
    tx.set_id_slot(other);
    Ok(())
}

fn stored(connection: &Connection) -> Result<Option<(Option<IdSlot>, i64)>> {
    let query = "SELECT slot, place FROM id_slot";
    connection.query_row(query, [], |row| Ok((IdSlot::new(row.get(0)?), row.get(1)?))).optional().map_err(sql)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_keeps_its_slot_and_a_copy_of_it_gets_another() {
        let file = Connection::open_in_memory().unwrap();
        file.execute_batch(crate::store::file::schema::SCHEMA).unwrap();
        assert_eq!(of(&file).unwrap(), None);
        let slot = at_start(&file, 7).unwrap();
        assert_eq!((at_start(&file, 7).unwrap(), of(&file).unwrap()), (slot, Some(slot)));
        let other = at_start(&file, 8).unwrap();
        assert!(other != slot && at_start(&file, 8).unwrap() == other);
        file.execute("UPDATE id_slot SET slot = 4096", []).unwrap();
        let chosen = at_start(&file, 8).unwrap();
        assert_eq!(of(&file).unwrap(), Some(chosen));
    }
}

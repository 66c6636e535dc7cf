//! The fault campaign: what is done to the real binary to make it lose something, and the results.
//!
//! `cargo test --test faults` runs the short form, `FAULTS=long cargo test --release --test faults` the long one. Words
//! after `--` select faults by name: `cargo test --test faults -- kill power`. One fault runs at a time, and the report
//! is printed while the campaign runs. A fault that this machine does not allow is skipped, and the report says so.

#![expect(clippy::unwrap_used, reason = "a fault that cannot go on has failed")]

mod broken_disk;
mod campaign;
mod clocks;
mod crowds;
mod disk;
mod file;
mod full_disk;
#[allow(dead_code, unused_imports, reason = "shared with the suite, which uses all of it")]
#[path = "../suite/harness/mod.rs"]
mod harness;
mod kills;
mod ledger;
mod lists;
mod locks;
mod mixed;
mod operator;
mod order;
mod power;
mod process;
mod replication;
mod sinks;
mod stops;
mod trace;
mod unread;

use campaign::{Fault, faults};

const FAULTS: &[Fault] = faults![
    kills::kill_9_at_random_moments_under_load,
    order::kill_9_under_load_does_not_change_a_strict_order,
    broken_disk::writes_and_fsyncs_that_fail,
    full_disk::a_full_disk_acknowledges_nothing_that_it_cannot_keep_and_recovers,
    full_disk::an_outcome_that_cannot_be_written_is_kept_and_written_later,
    power::a_power_cut_loses_nothing_that_was_acknowledged,
    power::a_power_cut_after_fsyncs_that_failed_loses_nothing_that_was_acknowledged,
    locks::another_process_holds_the_write_lock,
    locks::another_process_reads_an_old_snapshot,
    lists::clients_that_page_through_long_lists,
    clocks::the_clock_goes_back_an_hour,
    clocks::the_clock_goes_a_year_ahead,
    clocks::a_clock_a_year_ahead_makes_nothing_old,
    sinks::destinations_that_misbehave_in_every_way,
    crowds::half_open_clients,
    crowds::many_accounts_and_destinations,
    crowds::headers_at_their_limits,
    unread::clients_that_wait_and_read_nothing_and_long_documents_for_many,
    crowds::equal_requests_at_one_moment,
    stops::sigterm_at_random_moments,
    replication::whoever_starts_first_and_is_killed_nothing_is_lost,
    replication::a_restored_copy_lacks_no_more_than_the_last_moments,
    mixed::mixed_load_with_random_faults,
    operator::restores::each_backup_put_back_in_each_way_after_each_stop_is_served_or_refused_in_a_line_that_helps,
    operator::names::each_name_is_that_of_a_file_and_each_refusal_can_be_pasted,
    operator::names::links_lead_to_one_file_with_one_log_and_one_server,
    operator::names::a_mount_of_the_file_at_another_place_has_the_same_lock,
    operator::moved::what_is_done_to_the_files_of_a_running_server_is_noticed_and_costs_nothing,
    operator::streams::no_sort_of_standard_stream_keeps_it_from_its_work,
    operator::streams::lines_on_the_database_s_own_full_disk_cost_no_event,
    operator::streams::commands_end_with_a_sensible_code_whatever_becomes_of_what_they_say,
    operator::panics::a_panic_of_each_part_ends_the_process_and_loses_nothing,
    operator::panics::a_panic_of_an_attempt_costs_that_attempt_alone,
    operator::panics::a_panic_of_the_log_s_thread_costs_lines_alone,
    operator::sequences::random_sequences_of_acts_lose_nothing_and_each_refusal_helps,
];

fn main() -> std::process::ExitCode {
    campaign::run(FAULTS)
}

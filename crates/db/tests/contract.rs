//! One suite for both databases: every test runs on SQLite, and on PostgreSQL when `PLAYHEAD_TEST_POSTGRES` names one, as
//! `make test` does. On PostgreSQL each test has a schema of its own.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![allow(clippy::print_stdout, reason = "a test that is not run says so")]

mod contract {
    pub(crate) mod api_clients;
    pub(crate) mod console;
    pub(crate) mod core;
    pub(crate) mod databases;
    pub(crate) mod directories;
    pub(crate) mod site;
    pub(crate) mod site_keys;
    pub(crate) mod site_list;
    pub(crate) mod site_policies;
    pub(crate) mod site_servers;
    pub(crate) mod site_sessions;
    pub(crate) mod site_storage;
    pub(crate) mod site_tending;
}

/// Makes a test for each database out of an `async fn(Place)`.
macro_rules! contract {
    ($($module:ident :: $name:ident),+ $(,)?) => {
        mod sqlite {
            $(#[test] fn $name() { crate::contract::databases::on_sqlite(crate::contract::$module::$name) })+
        }
        mod postgres {
            $(#[test] fn $name() {
                crate::contract::databases::on_postgres(stringify!($name), crate::contract::$module::$name)
            })+
        }
    };
}

contract! {
    core::tables_are_made_once_by_many_at_once,
    core::a_newer_version_is_refused,
    core::a_failed_migration_leaves_nothing,
    core::a_dropped_transaction_leaves_nothing,
    core::writers_wait_for_each_other,
    site::the_identity_is_made_once,
    site::settings_are_kept,
    site::a_token_is_good_for_its_uses_and_time,
    site::a_token_is_not_used_twice_by_two_at_once,
    site::an_agent_with_a_known_key_stays_who_it_is,
    site::hosts_tell_when_they_were_seen_and_what_they_record,
    site::a_recording_belongs_to_its_agent,
    site::progress_gaps_and_end_are_kept,
    site::what_was_met_in_a_recording_is_kept,
    site::an_empty_recording_can_be_forgotten,
    site::segments_are_kept_once_each,
    site_list::many_of_a_name_come_in_their_order_as_few_do,
    site_list::pages_of_every_order_give_everything_once,
    site_list::filters_find_what_they_should,
    site_list::a_foreign_cursor_is_refused,
    site_list::the_total_is_exact_up_to_its_limit,
    site_servers::a_server_is_known_by_its_signs_of_life,
    site_servers::only_one_takes_over_and_only_from_who_is_still,
    site_servers::nobody_writes_for_a_recording_that_is_not_theirs,
    site_storage::locations_are_known_with_what_lies_there,
    site_storage::a_moved_segment_leaves_a_file_to_remove,
    site_storage::removals_wait_for_their_time,
    site_storage::a_move_is_taken_by_one_server_until_it_falls_silent,
    site_storage::what_was_stored_before_lies_at_the_default_location,
    site_tending::a_segment_is_taken_by_one_and_replaced_with_its_file,
    site_tending::what_a_crash_leaves_is_removed,
    site_tending::a_damaged_segment_sets_its_recording_aside_until_it_is_mended,
    site_policies::a_policy_keeps_its_versions,
    site_policies::no_two_policies_have_one_name,
    site_policies::one_policy_is_active_and_every_change_of_it_is_a_revision,
    site_policies::two_who_change_a_policy_at_once_do_not_overwrite_each_other,
    site_policies::what_users_are_told_is_a_revision,
    site_sessions::a_session_is_as_its_agent_said_last,
    site_sessions::sessions_are_found_and_paged,
    site_sessions::an_agent_is_known_to_be_at_one_server,
    site_sessions::what_has_ended_long_ago_is_forgotten,
    site_sessions::a_command_is_taken_once_by_the_server_that_has_the_agent,
    site_sessions::recordings_are_found_by_their_session,
    site_keys::a_data_key_is_given_once_and_rewrapped_unless_shredded,
    site_keys::a_time_stamp_is_wanted_once_and_follows_its_segment,
    console::an_account_has_its_name_alone,
    console::a_new_password_ends_all_sessions_of_its_account,
    console::sessions_are_listed_and_ended_by_account,
    console::what_has_expired_is_removed_and_nothing_else,
    console::site_names_are_unique_and_sites_with_servers_stay,
    console::a_server_in_the_same_process_stays_who_it_is,
    console::a_join_token_is_for_its_site_time_and_uses,
    console::join_tokens_that_are_still_good_are_listed_and_can_be_revoked,
    console::the_last_use_of_a_join_token_is_given_once,
    directories::a_text_that_cannot_be_kept_is_the_fault_of_who_sent_it,
    directories::a_directory_is_changed_by_one_at_a_time_and_has_its_name_alone,
    directories::a_role_is_held_once_and_taken_with_the_directory,
    directories::who_comes_in_stays_who_they_are_until_the_name_is_given_to_another,
    directories::an_account_is_checked_refused_and_let_in_again,
    directories::what_a_directory_answered_is_remembered_within_bounds,
    api_clients::a_client_has_its_name_alone_and_goes_with_its_tokens,
    api_clients::tokens_expire_and_the_oldest_gives_way,
    api_clients::the_customer_id_is_made_once,
}

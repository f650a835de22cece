//! The state, on each of the databases that can keep it.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod postgres;
mod stories;

use modelet_store::State;

/// Every story once on SQLite, in a file of its own, and once on a Postgres server of its own.
macro_rules! on_both {
    ($($story:ident),* $(,)?) => {
        mod on_sqlite {
            $(#[test]
            fn $story() {
                let directory = tempfile::tempdir().unwrap();
                let url = super::State::sqlite(&directory.path().join("state.sqlite"));
                super::run(super::stories::$story(url));
            })*
        }

        mod on_postgres {
            $(#[test]
            fn $story() {
                let server = super::postgres::Server::start();
                super::run(super::stories::$story(server.url()));
            })*
        }
    };
}

on_both![
    a_rollout_is_read_as_it_was_written,
    a_change_that_was_made_from_an_old_revision_is_refused,
    of_many_that_change_it_at_once_one_succeeds,
    one_node_leads_until_its_lease_is_over,
    evidence_of_all_nodes_is_added_up,
    a_reward_is_joined_once,
    tables_are_created_once,
];

fn run(story: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(story);
}

#[test]
fn a_url_that_is_no_database_is_told_without_its_password() {
    run(async {
        for url in [
            "mysql://me:secret@host/db",
            "nonsense",
            "postgres://me:secret@127.0.0.1:1/db",
        ] {
            let error = State::open(url, "a".to_owned()).await.unwrap_err();
            assert!(!error.to_string().contains("secret"), "{error}");
        }
    });
}

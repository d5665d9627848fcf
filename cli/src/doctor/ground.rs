//! What a Hermes stands on: the store and the queue.

use std::path::Path;
use std::time::Duration;

use hermes_adapters::entropy::process_id;
use hermes_adapters::postgres::{Postgres, PostgresOptions};
use hermes_adapters::redis::RedisQueue;
use hermes_adapters::settings::{DatabaseUrl, Settings};
use hermes_adapters::sqlite;
use hermes_core::ports::queue::JobQueue as _;

use super::Check;
use crate::embedded;

/// How long a server may take to answer.
const ANSWER_MS: u64 = 10_000;

/// The data folder of `hermes up` and `hermes run`. Nothing is made or opened in it.
pub(crate) fn embedded(data: &Path) -> Check {
    let file = embedded::file(data);
    let place = data.display();
    let (is_well, detail) = match (sqlite::owner_of(&file), file.exists()) {
        (Some(owner), _) => (true, format!("{place}, in use by the Hermes at {owner}")),
        (None, true) => (true, format!("{place}")),
        (None, false) => match std::fs::metadata(data) {
            Ok(found) if !found.is_dir() => (false, format!("{place} is no folder")),
            Ok(_) | Err(_) => (true, format!("{place}, made by the first run")),
        },
    };
    Check { name: "data folder".to_owned(), is_well, detail }
}

/// The database and the Redis of a fleet. Nothing is changed in them.
pub(crate) async fn fleet(settings: &Settings) -> Vec<Check> {
    let (store, queue) = tokio::join!(in_time(store(settings)), in_time(queue(settings)));
    let check = |name: &str, place: String, answer: Result<(), String>| {
        let (is_well, detail) = match answer {
            Ok(()) => (true, format!("{place} answers")),
            Err(problem) => (false, format!("{place}: {problem}")),
        };
        Check { name: name.to_owned(), is_well, detail }
    };
    vec![
        check("database", settings.database.url.to_string(), store),
        check("redis", settings.redis.url.to_string(), queue),
    ]
}

async fn in_time(answer: impl Future<Output = Result<(), String>>) -> Result<(), String> {
    let limit = Duration::from_millis(ANSWER_MS);
    tokio::time::timeout(limit, answer).await.unwrap_or_else(|_| Err(format!("no answer within {ANSWER_MS} ms")))
}

async fn store(settings: &Settings) -> Result<(), String> {
    match &settings.database.url {
        DatabaseUrl::Postgres(secret) => {
            let connected = Postgres::connect(secret.expose(), PostgresOptions::default()).await;
            connected.map(drop).map_err(|error| error.to_string())
        }
        DatabaseUrl::Sqlite(path) if path.exists() => Ok(()),
        DatabaseUrl::Sqlite(path) => Err(format!("there is no file {}; `hermes migrate` makes it", path.display())),
    }
}

async fn queue(settings: &Settings) -> Result<(), String> {
    let options = settings.redis.options(settings.queue, &process_id().to_string());
    let queue = RedisQueue::connect_with(&options).await.map_err(|error| error.to_string())?;
    let answer = queue.ping().await.map_err(|error| error.to_string());
    queue.close().await;
    answer
}

//! What must outlive a process: rollouts, their evidence, what came back, and who did what.
//!
//! One schema on SQLite and Postgres. A rollout is changed by naming the revision it was read at, and
//! its entry in the audit log is written in the same transaction: nothing happens twice, whoever is
//! killed when. Leases only keep nodes from doing the same work; they are not what that rests on.

mod predictions;

use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use modelet_policy::names::{ModelName, Version};
use modelet_policy::rollout::evidence::Evidence;
use modelet_policy::rollout::{Millis, Rollout};
use modelet_policy::statistics::moments::Moments;
use sqlx::any::{AnyConnectOptions, AnyPoolOptions, AnyRow, install_default_drivers};
use sqlx::{AnyPool, Executor as _, Row as _};

pub use predictions::{Joined, Prediction};

/// How long a connection to the database may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// A database, of this node or of several.
#[derive(Clone, Debug)]
pub struct State {
    pool: AnyPool,
    /// Names this process among those that share the database.
    node: String,
}

/// A rollout as it was read.
#[derive(Clone, Debug, PartialEq)]
pub struct Saved {
    pub model: ModelName,
    pub revision: i64,
    pub rollout: Rollout,
}

/// Who did what, when, and from what evidence.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    pub revision: i64,
    pub at: Millis,
    pub who: String,
    pub what: String,
    pub evidence: Evidence,
}

#[derive(Debug, thiserror::Error)]
pub enum StateError {
    #[error("{url} is no database this can use: {source}; sqlite:FILE and postgres://… are")]
    Url { url: String, source: sqlx::Error },
    #[error("the database cannot be reached: {0}")]
    Database(#[from] sqlx::Error),
    #[error("the database cannot be brought up to date: {0}")]
    Migration(#[from] sqlx::migrate::MigrateError),
    /// Somebody else changed the rollout first.
    #[error("the rollout of `{0}` was changed by somebody else meanwhile")]
    Conflict(ModelName),
    #[error("the database holds what this version cannot read: {0}")]
    Unreadable(String),
}

impl State {
    /// Connects, and creates or updates the tables. `node` is another one for each process.
    pub async fn open(url: &str, node: String) -> Result<State, StateError> {
        install_default_drivers();
        let wrong = |source| StateError::Url {
            // A password is nobody's business.
            url: url
                .split_once("://")
                .map_or(url, |(kind, _)| kind)
                .to_owned(),
            source,
        };
        let is_sqlite = url.starts_with("sqlite:");
        let in_memory = url == MEMORY;
        // A file that is not there yet is made.
        let made = match is_sqlite && !in_memory && !url.contains('?') {
            true => format!("{url}?mode=rwc"),
            false => url.to_owned(),
        };
        let options = AnyConnectOptions::from_str(&made).map_err(wrong)?;
        let pool = AnyPoolOptions::new()
            // A database in memory is gone with its connection.
            .max_connections(if in_memory { 1 } else { 4 })
            .min_connections(u32::from(in_memory))
            .idle_timeout((!in_memory).then_some(Duration::from_secs(60)))
            .max_lifetime(None)
            .acquire_timeout(CONNECT_TIMEOUT)
            .after_connect(move |connection, _| {
                Box::pin(async move {
                    if is_sqlite {
                        connection.execute(SQLITE_SETTINGS).await?;
                    }
                    Ok(())
                })
            })
            .connect_with(options)
            .await?;
        migrate(&pool, is_sqlite).await?;
        Ok(State { pool, node })
    }

    /// The URL of a database in this file, which is created where it is missing.
    pub fn sqlite(path: &Path) -> String {
        let path = path.display().to_string();
        let path = path
            .replace('%', "%25")
            .replace('?', "%3f")
            .replace('#', "%23");
        format!("sqlite://{path}?mode=rwc")
    }

    /// The URL of a database that is gone with the process.
    pub fn memory() -> String {
        MEMORY.to_owned()
    }

    /// Every model's rollout.
    pub async fn rollouts(&self) -> Result<Vec<Saved>, StateError> {
        let rows = sqlx::query("SELECT model, revision, rollout FROM rollouts ORDER BY model")
            .fetch_all(&self.pool)
            .await?;
        rows.iter().map(saved).collect()
    }

    pub async fn rollout(&self, model: &ModelName) -> Result<Option<Saved>, StateError> {
        let row = sqlx::query("SELECT model, revision, rollout FROM rollouts WHERE model = $1")
            .bind(model.as_str())
            .fetch_optional(&self.pool)
            .await?;
        row.as_ref().map(saved).transpose()
    }

    /// Replaces a rollout that is still at `revision`, 0 for none, and says so in the audit log.
    /// Returns the new revision.
    pub async fn save(
        &self,
        model: &ModelName,
        revision: i64,
        rollout: &Rollout,
        entry: Entry,
    ) -> Result<i64, StateError> {
        let json = written(rollout)?;
        let mut transaction = self.pool.begin().await?;
        let changed = match revision {
            0 => sqlx::query(
                "INSERT INTO rollouts (model, revision, rollout, leader, lease_until) \
                 VALUES ($1, 1, $2, '', 0) ON CONFLICT (model) DO NOTHING",
            )
            .bind(model.as_str())
            .bind(json),
            revision => sqlx::query(
                "UPDATE rollouts SET revision = revision + 1, rollout = $1 \
                 WHERE model = $2 AND revision = $3",
            )
            .bind(json)
            .bind(model.as_str())
            .bind(revision),
        };
        if changed.execute(&mut *transaction).await?.rows_affected() == 0 {
            return Err(StateError::Conflict(model.clone()));
        }
        sqlx::query(
            "INSERT INTO audit (model, revision, at, who, what, evidence) \
             VALUES ($1, $2, $3, $4, $5, $6)",
        )
        .bind(model.as_str())
        .bind(revision + 1)
        .bind(entry.at as i64)
        .bind(entry.who)
        .bind(entry.what)
        .bind(written(&entry.evidence)?)
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(revision + 1)
    }

    /// Writes down how far measurements are, which is no change that anybody has to know of. Whether
    /// the rollout was still at `revision`.
    pub async fn progress(
        &self,
        model: &ModelName,
        revision: i64,
        rollout: &Rollout,
    ) -> Result<bool, StateError> {
        let update =
            sqlx::query("UPDATE rollouts SET rollout = $1 WHERE model = $2 AND revision = $3")
                .bind(written(rollout)?)
                .bind(model.as_str())
                .bind(revision);
        Ok(update.execute(&self.pool).await?.rows_affected() == 1)
    }

    /// Whether this node is the one that advances the model's rollout until `until`.
    pub async fn lead(
        &self,
        model: &ModelName,
        now: Millis,
        until: Millis,
    ) -> Result<bool, StateError> {
        let led = sqlx::query(
            "UPDATE rollouts SET leader = $1, lease_until = $2 \
             WHERE model = $3 AND (leader = $1 OR lease_until < $4)",
        )
        .bind(&self.node)
        .bind(until as i64)
        .bind(model.as_str())
        .bind(now as i64);
        Ok(led.execute(&self.pool).await?.rows_affected() == 1)
    }

    /// All that this node has seen of a rollout, in place of what it wrote before.
    pub async fn put_evidence(&self, rollout: &str, evidence: &Evidence) -> Result<(), StateError> {
        sqlx::query(
            "INSERT INTO evidence (rollout, node, evidence) VALUES ($1, $2, $3) \
             ON CONFLICT (rollout, node) DO UPDATE SET evidence = excluded.evidence",
        )
        .bind(rollout)
        .bind(&self.node)
        .bind(written(evidence)?)
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// What all nodes have seen of a rollout, and the rewards that came back.
    pub async fn evidence(&self, rollout: &str) -> Result<Evidence, StateError> {
        let rows = sqlx::query("SELECT evidence FROM evidence WHERE rollout = $1")
            .bind(rollout)
            .fetch_all(&self.pool)
            .await?;
        let mut all = Evidence::default();
        for row in &rows {
            all.merge(&read(&row.try_get::<String, _>(0)?)?);
        }
        let rows = sqlx::query(
            "SELECT version, COUNT(reward), SUM(reward), SUM(reward * reward) FROM predictions \
             WHERE rollout = $1 AND reward IS NOT NULL GROUP BY version",
        )
        .bind(rollout)
        .fetch_all(&self.pool)
        .await?;
        for row in &rows {
            let version = version(row.try_get(0)?)?;
            let rewards = Moments {
                count: row.try_get::<i64, _>(1)? as u64,
                sum: row.try_get(2)?,
                squares: row.try_get(3)?,
            };
            all.rewards.insert(version, rewards);
        }
        Ok(all)
    }

    /// Adds to the audit log what is no change of a rollout.
    pub async fn note(
        &self,
        id: &str,
        model: &ModelName,
        at: Millis,
        who: &str,
        what: &str,
    ) -> Result<(), StateError> {
        sqlx::query("INSERT INTO changes (id, model, at, who, what) VALUES ($1, $2, $3, $4, $5)")
            .bind(id)
            .bind(model.as_str())
            .bind(at as i64)
            .bind(who)
            .bind(what)
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// The latest entries of the audit log, the newest first. Those that are no change of a rollout
    /// have the revision 0.
    pub async fn history(&self, model: &ModelName, limit: u32) -> Result<Vec<Entry>, StateError> {
        let rows = sqlx::query(
            "SELECT revision, at, who, what, evidence FROM audit WHERE model = $1 UNION ALL \
             SELECT 0, at, who, what, '{}' FROM changes WHERE model = $1 \
             ORDER BY at DESC, revision DESC LIMIT $2",
        )
        .bind(model.as_str())
        .bind(i64::from(limit))
        .fetch_all(&self.pool)
        .await?;
        rows.iter().map(entry).collect()
    }
}

/// Postgres lets one process at a time do this. SQLite does not: of two that begin together one fails,
/// and finds the tables there when it looks again.
async fn migrate(pool: &AnyPool, is_sqlite: bool) -> Result<(), StateError> {
    const TRIES: u32 = 20;
    for _ in 1..TRIES {
        match sqlx::migrate!().run(pool).await {
            Err(_) if is_sqlite => tokio::time::sleep(Duration::from_millis(50)).await,
            migrated => return Ok(migrated?),
        }
    }
    Ok(sqlx::migrate!().run(pool).await?)
}

const MEMORY: &str = "sqlite::memory:";

/// Readers do not wait for the writer, and a writer waits for another a while.
const SQLITE_SETTINGS: &str =
    "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA busy_timeout = 5000";

fn saved(row: &AnyRow) -> Result<Saved, StateError> {
    let model: String = row.try_get(0)?;
    Ok(Saved {
        model: model
            .parse()
            .map_err(|error| StateError::Unreadable(format!("{error}")))?,
        revision: row.try_get(1)?,
        rollout: read(&row.try_get::<String, _>(2)?)?,
    })
}

fn entry(row: &AnyRow) -> Result<Entry, StateError> {
    Ok(Entry {
        revision: row.try_get(0)?,
        at: row.try_get::<i64, _>(1)? as Millis,
        who: row.try_get(2)?,
        what: row.try_get(3)?,
        evidence: read(&row.try_get::<String, _>(4)?)?,
    })
}

fn version(number: i64) -> Result<Version, StateError> {
    let number = u64::try_from(number).unwrap_or_default();
    Version::try_from(number).map_err(|error| StateError::Unreadable(error.to_string()))
}

fn written(value: &impl serde::Serialize) -> Result<String, StateError> {
    serde_json::to_string(value).map_err(|error| StateError::Unreadable(error.to_string()))
}

fn read<T: serde::de::DeserializeOwned>(json: &str) -> Result<T, StateError> {
    serde_json::from_str(json).map_err(|error| StateError::Unreadable(error.to_string()))
}

//! Predictions, and the labels and rewards that come back to them.

use modelet_policy::names::{ModelName, Version};
use modelet_policy::rollout::Millis;
use sqlx::Row as _;

use super::{State, StateError, version};

/// An answer that a label or a reward may come back to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prediction {
    pub model: ModelName,
    /// The request's.
    pub id: String,
    /// Empty where there was none.
    pub rollout: String,
    pub version: Version,
    pub at: Millis,
    /// What a label is compared with.
    pub prediction: String,
}

/// What became of a reward.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Joined {
    Joined,
    /// It has one already, which stays.
    Duplicate,
    /// It was made before the time that was asked for.
    Late,
}

impl State {
    /// Remembers them; of those with the same id the first one.
    pub async fn add_predictions(&self, predictions: &[Prediction]) -> Result<(), StateError> {
        let mut transaction = self.pool.begin().await?;
        for prediction in predictions {
            sqlx::query(
                "INSERT INTO predictions (model, id, rollout, version, at, prediction) \
                 VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (model, id) DO NOTHING",
            )
            .bind(prediction.model.as_str())
            .bind(&prediction.id)
            .bind(&prediction.rollout)
            .bind(prediction.version.number() as i64)
            .bind(prediction.at as i64)
            .bind(&prediction.prediction)
            .execute(&mut *transaction)
            .await?;
        }
        transaction.commit().await?;
        Ok(())
    }

    pub async fn prediction(
        &self,
        model: &ModelName,
        id: &str,
    ) -> Result<Option<Prediction>, StateError> {
        let row = sqlx::query(
            "SELECT rollout, version, at, prediction FROM predictions \
             WHERE model = $1 AND id = $2",
        )
        .bind(model.as_str())
        .bind(id)
        .fetch_optional(&self.pool)
        .await?;
        let Some(row) = row else { return Ok(None) };
        Ok(Some(Prediction {
            model: model.clone(),
            id: id.to_owned(),
            rollout: row.try_get(0)?,
            version: version(row.try_get(1)?)?,
            at: row.try_get::<i64, _>(2)? as Millis,
            prediction: row.try_get(3)?,
        }))
    }

    /// Joins a reward to its prediction, once.
    pub async fn reward(
        &self,
        prediction: &Prediction,
        reward: f64,
        not_before: Millis,
    ) -> Result<Joined, StateError> {
        if prediction.at < not_before {
            return Ok(Joined::Late);
        }
        let joined = sqlx::query(
            "UPDATE predictions SET reward = $1 \
             WHERE model = $2 AND id = $3 AND reward IS NULL",
        )
        .bind(reward)
        .bind(prediction.model.as_str())
        .bind(&prediction.id)
        .execute(&self.pool)
        .await?;
        Ok(match joined.rows_affected() {
            0 => Joined::Duplicate,
            _ => Joined::Joined,
        })
    }

    /// Forgets predictions that are older. Returns how many.
    pub async fn forget_predictions(&self, before: Millis) -> Result<u64, StateError> {
        let forgotten = sqlx::query("DELETE FROM predictions WHERE at < $1")
            .bind(before as i64)
            .execute(&self.pool)
            .await?;
        Ok(forgotten.rows_affected())
    }
}

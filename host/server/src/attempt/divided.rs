//! A request of more rows than a batch has, by several calls at one time.

use std::sync::Arc;

use futures::future::try_join_all;
use modelet_policy::batching::{Batching, may_join};
use modelet_protocol::{Tensor, rows};
use modelet_runtime::Modelet;

use super::{Asked, alone};
use crate::app::App;
use crate::registry::Ready;
use crate::request::Failure;

/// Divides the rows among as many calls as may run now, and joins what they answer.
pub(super) async fn ask(
    app: &App,
    (ready, modelet): (&Arc<Ready>, &Modelet),
    batching: &Batching,
    asked: Asked<'_>,
) -> Result<Vec<Tensor>, Failure> {
    let free = app.admission.free().min(ready.admission.free());
    let counts = batching.divide(asked.rows, free);
    let parts = match counts.len() {
        0 | 1 => None,
        _ => rows::split(&asked.inputs, &counts),
    };
    let Some(parts) = parts else {
        return alone(app, ready, modelet, asked).await;
    };
    let calls = parts.into_iter().zip(&counts).map(|(inputs, rows)| {
        let part = Asked {
            inputs,
            rows: *rows,
            ..asked
        };
        alone(app, ready, modelet, part)
    });
    let answers = try_join_all(calls).await?;
    match joined(&answers) {
        Some(outputs) => Ok(outputs),
        None => {
            let (model, version) = (&ready.model, ready.version);
            tracing::warn!(%model, %version, "parts of a request were answered differently; it is run alone");
            alone(app, ready, modelet, asked).await
        }
    }
}

/// `None`: they differ in more than rows.
fn joined(answers: &[Vec<Tensor>]) -> Option<Vec<Tensor>> {
    let agree = |one: &Tensor, other: &Tensor| {
        (&one.name, one.datatype) == (&other.name, other.datatype)
            && may_join(&one.shape, &other.shape)
    };
    let first = answers.first()?;
    let all_agree = answers.iter().all(|answer| {
        answer.len() == first.len()
            && answer
                .iter()
                .zip(first)
                .all(|(one, other)| agree(one, other))
    });
    all_agree.then(|| rows::join(answers.iter().map(Vec::as_slice)))
}

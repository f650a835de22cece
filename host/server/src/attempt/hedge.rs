//! Asks the next of the plan as well when a version takes longer than it usually does.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::future::{Either, select};
use modelet_policy::fallback::{Plan, Trigger};

use super::tries::{Tries, Whom};
use crate::registry::Ready;
use crate::request::{Answer, Failure, Request};
use crate::statistics::Hop;

/// What became of the version that was asked, and of the one that was asked beside it.
pub struct Raced {
    /// `None`: it was not waited for, because the other had answered.
    pub own: Option<Result<Answer, Failure>>,
    pub other: Option<Answer>,
}

impl Raced {
    pub fn alone(own: Result<Answer, Failure>) -> Raced {
        Raced {
            own: Some(own),
            other: None,
        }
    }
}

/// Asks `ready`, and after its patience the plan's next beside it. The first answer is the answer.
pub async fn race(
    tries: &Tries<'_>,
    ready: Arc<Ready>,
    plan: &mut Plan<'_>,
    request: &mut Request,
) -> Raced {
    let Some(patience) = patience(tries, &ready) else {
        return Raced::alone(tries.ask(Whom::First(ready), request, false).await);
    };
    let mut copy = request.clone();
    let mut own = pin!(tries.ask(Whom::First(ready), &mut copy, true));
    if let Ok(own) = tokio::time::timeout(patience, &mut own).await {
        return Raced::alone(own);
    }
    let left = tries.left(request);
    let target = match plan.has_more() && tries.may_spend(Hop::Hedge) {
        true => plan.next(Trigger::Slow, left),
        false => None,
    };
    let Some(target) = target else {
        return Raced::alone(own.await);
    };
    let is_last = !plan.has_more();
    let other = pin!(tries.ask(Whom::Next(target), request, is_last));
    match select(own, other).await {
        Either::Left((Ok(answer), _)) => Raced::alone(Ok(answer)),
        Either::Left((failed, other)) => Raced {
            own: Some(failed),
            other: other.await.ok(),
        },
        Either::Right((Ok(answer), _)) => Raced {
            own: None,
            other: Some(answer),
        },
        Either::Right((Err(_), own)) => Raced::alone(own.await),
    }
}

/// `None` where it is waited for without another.
fn patience(tries: &Tries<'_>, ready: &Ready) -> Option<Duration> {
    let fallback = &tries.spec().fallback;
    let quantile = fallback
        .hedge
        .filter(|_| fallback.on.contains(&Trigger::Slow))?;
    ready.times().quantile(quantile)
}

//! Requests of one version that one call answers, where the model's `[batching]` asks for it.
//!
//! Behind each batch there is a task of its own, so a caller who hangs up takes nobody along. While it
//! waits for its turn, further requests join it.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use modelet_policy::batching::{self, Batching, Declared};
use modelet_protocol::{Dimension, Signature, Tensor, TensorSpec, rows};
use modelet_runtime::{InferError, Modelet};
use tokio::sync::{Notify, oneshot};

use super::admission::{Admission, Permit, Place, Refused};
use super::{Asked, record, run};
use crate::registry::Ready;
use crate::request::Failure;

/// The batches of one version that are not called yet.
pub struct Batches {
    batching: Batching,
    open: Mutex<VecDeque<Batch>>,
}

struct Batch {
    /// The outputs that all of its requests want.
    wanted: Vec<String>,
    members: Vec<Member>,
    rows: u64,
    state: Arc<State>,
}

/// What the requests of a batch and its task tell each other.
#[derive(Default)]
struct State {
    is_full: Notify,
    /// Whether its requests no longer wait but run.
    is_called: AtomicBool,
}

/// A request in a batch.
struct Member {
    /// In the order of the signature.
    inputs: Vec<Tensor>,
    rows: u64,
    since: Instant,
    deadline: Instant,
    answer: oneshot::Sender<Result<Vec<Tensor>, Failure>>,
    /// Among those that wait, until it is called.
    place: Option<Place>,
}

/// Who calls a batch.
struct Caller {
    ready: Arc<Ready>,
    modelet: Modelet,
    /// The server's.
    admission: Arc<Admission>,
}

impl Batches {
    /// The error says why requests of such a model cannot be joined.
    pub fn new(batching: &Batching, signature: &Signature) -> Result<Batches, String> {
        batching::check(&declared(&signature.inputs), &declared(&signature.outputs))?;
        Ok(Batches {
            batching: batching.clone(),
            open: Mutex::default(),
        })
    }

    pub fn batching(&self) -> &Batching {
        &self.batching
    }

    /// Whether a request of this many rows is answered here.
    pub fn takes(&self, rows: u64) -> bool {
        self.batching.takes(rows)
    }

    /// Answers a request, whose inputs fit the signature, together with others.
    pub(super) async fn ask(
        self: &Arc<Batches>,
        (admission, ready, modelet): (&Arc<Admission>, &Arc<Ready>, &Modelet),
        asked: Asked<'_>,
    ) -> Result<Vec<Tensor>, Failure> {
        let (mut inputs, deadline) = (asked.inputs, asked.deadline);
        let place = ready.admission.take_place()?;
        let order = &ready.signature().inputs;
        inputs.sort_by_key(|input| order.iter().position(|spec| spec.name == input.name));
        let (answer, answered) = oneshot::channel();
        let member = Member {
            inputs,
            rows: asked.rows,
            since: Instant::now(),
            deadline,
            answer,
            place: Some(place),
        };
        let (state, is_new) = self.join(member, asked.outputs);
        if is_new {
            let caller = Caller {
                ready: ready.clone(),
                modelet: modelet.clone(),
                admission: admission.clone(),
            };
            tokio::spawn(caller.call(self.clone(), state.clone()));
        }
        match tokio::time::timeout_at(deadline.into(), answered).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(Failure::Internal("the call was lost".to_owned())),
            Err(_) if state.is_called.load(Relaxed) => Err(InferError::DeadlineExceeded.into()),
            Err(_) => Err(Refused::Deadline.into()),
        }
    }

    /// Puts a request into a batch, and says whether nobody stands behind that yet.
    fn join(&self, member: Member, wanted: &[String]) -> (Arc<State>, bool) {
        let mut open = self.open();
        let suits = |batch: &&mut Batch| {
            batch.wanted == wanted
                && batch.may_join(&member)
                && self.batching.has_room(batch.rows, member.rows)
        };
        if let Some(batch) = open.iter_mut().find(suits) {
            batch.rows += member.rows;
            batch.members.push(member);
            if self.batching.is_full(batch.rows) {
                batch.state.is_full.notify_one();
            }
            return (batch.state.clone(), false);
        }
        let batch = Batch {
            wanted: wanted.to_vec(),
            rows: member.rows,
            members: vec![member],
            state: Arc::default(),
        };
        if self.batching.is_full(batch.rows) {
            batch.state.is_full.notify_one();
        }
        let state = batch.state.clone();
        open.push_back(batch);
        (state, true)
    }

    /// Takes a batch out, so that nobody joins it any more.
    fn close(&self, state: &Arc<State>) -> Option<Batch> {
        let mut open = self.open();
        let place = open
            .iter()
            .position(|batch| Arc::ptr_eq(&batch.state, state))?;
        open.remove(place)
    }

    fn latest_deadline(&self, state: &Arc<State>) -> Option<Instant> {
        let open = self.open();
        let batch = open.iter().find(|batch| Arc::ptr_eq(&batch.state, state))?;
        batch.members.iter().map(|member| member.deadline).max()
    }

    fn open(&self) -> MutexGuard<'_, VecDeque<Batch>> {
        // A request is in a batch or it is not; nothing in between can panic.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Batch {
    fn may_join(&self, member: &Member) -> bool {
        let first = self.members.first();
        first.is_some_and(|first| {
            let mut both = first.inputs.iter().zip(&member.inputs);
            both.all(|(one, other)| batching::may_join(&one.shape, &other.shape))
        })
    }
}

impl Caller {
    async fn call(self, batches: Arc<Batches>, state: Arc<State>) {
        let delay = batches.batching.max_queue_delay;
        if delay > Duration::ZERO {
            // Full or not, it is due then.
            let _ = tokio::time::timeout(delay, state.is_full.notified()).await;
        }
        let held = self.admit(&batches, &state).await;
        let Some(mut batch) = batches.close(&state) else {
            return;
        };
        let held = match held {
            Ok(held) => Arc::new(held),
            Err(refused) => {
                for member in batch.members {
                    member.end(Err(refused.into()));
                }
                return;
            }
        };
        state.is_called.store(true, Relaxed);
        batch.members.retain(|member| !member.answer.is_closed());
        for member in &mut batch.members {
            member.place = None;
            self.ready.statistics.queue.add(member.since.elapsed());
        }
        let members = match self.together(batch.members, &batch.wanted, &held).await {
            Ok(()) => return,
            Err(members) => members,
        };
        for mut member in members {
            let inputs = std::mem::take(&mut member.inputs);
            let one = (inputs, member.deadline);
            let answer = self.alone(one, member.rows, &batch.wanted, &held).await;
            member.end(answer);
        }
    }

    async fn admit(
        &self,
        batches: &Batches,
        state: &Arc<State>,
    ) -> Result<(Permit, Permit), Refused> {
        // Its requests have their places in the queue already.
        let place = self.ready.admission.turn().await;
        let deadline = batches.latest_deadline(state).ok_or(Refused::Deadline)?;
        Ok((place?, self.admission.admit(deadline).await?))
    }

    /// Answers all with one call. Gives them back where that gives no answer: it may be one of them
    /// that the others suffer from.
    async fn together(
        &self,
        members: Vec<Member>,
        wanted: &[String],
        held: &Arc<(Permit, Permit)>,
    ) -> Result<(), Vec<Member>> {
        let Some(deadline) = members.iter().map(|member| member.deadline).max() else {
            return Ok(());
        };
        if members.len() == 1 {
            return Err(members);
        }
        let joined = rows::join(members.iter().map(|member| member.inputs.as_slice()));
        let rows: Vec<u64> = members.iter().map(|member| member.rows).collect();
        let ran = run(
            &self.ready,
            &self.modelet,
            joined,
            wanted,
            deadline,
            held.clone(),
        )
        .await;
        let answered = match ran {
            Ok((Ok(outputs), time)) => rows::split(&outputs, &rows).map(|parts| (parts, time)),
            _ => None,
        };
        let Some((parts, time)) = answered else {
            let (model, version) = (&self.ready.model, self.ready.version);
            tracing::warn!(%model, %version, "a batch failed; each of its requests is run alone");
            return Err(members);
        };
        self.ready.statistics.executed_together(&rows, time);
        for (member, outputs) in members.into_iter().zip(parts) {
            member.end(Ok(outputs));
        }
        Ok(())
    }

    async fn alone(
        &self,
        (inputs, deadline): (Vec<Tensor>, Instant),
        rows: u64,
        wanted: &[String],
        held: &Arc<(Permit, Permit)>,
    ) -> Result<Vec<Tensor>, Failure> {
        let held = held.clone();
        let (outputs, time) =
            run(&self.ready, &self.modelet, inputs, wanted, deadline, held).await?;
        match outputs {
            Ok(_) => self.ready.statistics.executed_together(&[rows], time),
            Err(_) => record(&self.ready, &outputs, rows, time),
        }
        Ok(outputs?)
    }
}

impl Member {
    fn end(self, answer: Result<Vec<Tensor>, Failure>) {
        // Whoever hung up needs none.
        let _ = self.answer.send(answer);
    }
}

fn declared(specs: &[TensorSpec]) -> Vec<Declared<'_>> {
    let of = |dimension| match dimension {
        &Dimension::Fixed(_) => None,
        Dimension::Symbolic(name) => Some(name.as_str()),
    };
    let declared = specs.iter().map(|spec| Declared {
        name: &spec.name,
        dimensions: spec.shape.iter().map(of).collect(),
    });
    declared.collect()
}

//! The edge: what a host hands in, and what is asked of it.

mod store;

use std::cell::RefCell;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, HeaderValue};
use http::request::Parts;
use http::{HeaderMap, Method, Response, StatusCode};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use spin_sdk::http::Request;
use spin_sdk::http_service;
use spin_sdk::wasip3::cli::{environment, stderr};
use spin_sdk::wasip3::clocks::system_clock;
use spin_sdk::wasip3::random::random::get_random_u64;
use spin_sdk::wasip3::wit_stream;

use crate::admin::Asked;
use crate::application::Served;
use crate::caller::REQUEST_ID;
use crate::inference::{Inference, Instance, Step, remembered};
use crate::memory::Memory;
use crate::path::{Named, Path};
use crate::reply::{Failure, Reply, error};
use crate::rest::{Begun, begin};
use crate::slots;

/// The largest body, as a server has it where nobody says otherwise.
const BODY_BYTES: usize = 64 << 20;

thread_local! {
    /// Of this instance of the component, which answers one request or many.
    static INSTANCE: RefCell<Result<Instance, String>> = RefCell::new(start());
}

fn start() -> Result<Instance, String> {
    Ok(Instance {
        served: Served::read(&slots::application())?,
        memory: Memory::new(get_random_u64()),
    })
}

#[http_service]
async fn handle(request: Request) -> Response<Full<Bytes>> {
    let (mut head, body) = request.into_parts();
    let id = head.headers.get(REQUEST_ID).cloned().unwrap_or_else(fresh);
    head.headers.insert(REQUEST_ID, id.clone());
    let path = head.uri.path();
    let mut reply = match Asked::parse(&head.method, path, &head.headers, token) {
        Some(Ok(asked)) => {
            let administered = administer(&asked, &head.headers, body).await;
            administered.unwrap_or_else(|failure| failure.reply())
        }
        Some(Err(reply)) => reply,
        None => answer(&head, body).await,
    };
    reply.headers_mut().insert(REQUEST_ID, id);
    if head.method == Method::HEAD {
        reply.body_mut().clear();
    } else {
        // A host that is not told sends the body in chunks, of which the last comes alone.
        let length = reply.body().len().into();
        reply.headers_mut().insert(CONTENT_LENGTH, length);
    }
    reply.map(|body| Full::new(Bytes::from(body)))
}

async fn answer<B>(head: &Parts, body: B) -> Reply
where
    B: http_body::Body<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let path = head.uri.path();
    if let Some(parsed) = Path::parse(path) {
        refresh(parsed.model().unwrap_or_default()).await;
    }
    let begun = with(|instance| Ok(begin(&instance.served, &head.method, path, &head.headers)));
    match begun {
        Ok(Begun::Reply(reply)) => reply,
        Ok(Begun::Infer(named)) => match read(body).await {
            Ok(body) => {
                let inferred = infer(named, &head.headers, &body).await;
                inferred.unwrap_or_else(|failure| failure.reply())
            }
            Err(failure) => failure.reply(),
        },
        // Nothing that a caller could do better.
        Err(failure) => error(StatusCode::INTERNAL_SERVER_ERROR, failure.to_string()),
    }
}

/// What whoever steers rollouts has to show; `None` where nobody may.
fn token() -> Option<String> {
    let all = environment::get_environment().into_iter();
    let mut tokens = all.filter(|(name, _)| name == "MODELET_ADMIN_TOKEN");
    tokens.next().map(|(_, token)| token)
}

async fn administer<B>(asked: &Asked, headers: &HeaderMap, body: B) -> Result<Reply, Failure>
where
    B: http_body::Body<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let unreachable = || Failure::Unreachable("the key-value store cannot be used".to_owned());
    let body = read(body).await?;
    if !store::read(&asked.model).await {
        return Err(unreachable());
    }
    let (reply, changed) = with(|instance| Ok(asked.answer(instance, headers, &body, now())))?;
    match changed && !store::write_all(&asked.model).await {
        true => Err(unreachable()),
        false => Ok(reply),
    }
}

/// Takes in what others know of this model, and of those that may answer for it.
async fn refresh(model: &str) {
    let stale = with(|instance| {
        let models = remembered(&instance.served, model).into_iter();
        let stale = models.filter(|model| instance.memory.is_stale(model, now()));
        Ok(stale.collect::<Vec<_>>())
    });
    // An instance that could not start says so when it is asked.
    for model in stale.unwrap_or_default() {
        store::read(&model).await;
    }
}

async fn infer(named: Named, headers: &HeaderMap, body: &[u8]) -> Result<Reply, Failure> {
    let number = get_random_u64() as u32;
    let begun = with(|it| Inference::begin(it, named, headers, body, now(), number));
    let mut inference = begun?;
    let reply = loop {
        match with(|instance| Ok(inference.step(instance, now())))? {
            Step::Save(model) => store::write(&model).await,
            Step::Set { key, value } => store::set(&key, &value).await,
            Step::Call {
                slot,
                inputs,
                outputs,
            } => {
                let said = slots::infer(slot, inputs, &outputs);
                with(|instance| {
                    inference.called(instance, said, now());
                    Ok(())
                })?;
            }
            Step::Done(reply) => break reply,
        }
    };
    for model in inference.changed() {
        store::write(model).await;
    }
    Ok(reply)
}

/// Never across an await: other requests of this instance may go on meanwhile.
fn with<T>(work: impl FnOnce(&mut Instance) -> Result<T, Failure>) -> Result<T, Failure> {
    INSTANCE.with_borrow_mut(|instance| match instance {
        Ok(instance) => work(instance),
        Err(reason) => Err(Failure::Internal(reason.clone())),
    })
}

async fn read<B>(body: B) -> Result<Bytes, Failure>
where
    B: http_body::Body<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    match Limited::new(body, BODY_BYTES).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(Failure::TooLarge(BODY_BYTES)),
        Err(error) => {
            let text = format!("the body cannot be read: {error}");
            Err(Failure::Malformed(text))
        }
    }
}

/// Since the beginning of 1970, which is the same for all instances.
fn now() -> Duration {
    let now = system_clock::now();
    Duration::new(
        u64::try_from(now.seconds).unwrap_or_default(),
        now.nanoseconds,
    )
}

fn fresh() -> HeaderValue {
    HeaderValue::try_from(format!("{:016x}", get_random_u64()))
        .expect("hexadecimal digits may stand in a header")
}

/// A line for whoever keeps the host.
async fn log(line: String) {
    let (mut writer, reader) = wit_stream::new();
    let written = stderr::write_via_stream(reader);
    writer.write_all(format!("{line}\n").into_bytes()).await;
    drop(writer);
    // Where lines cannot be written there is nobody to be told.
    let _ = written.await;
}

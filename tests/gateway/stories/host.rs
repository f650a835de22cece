//! A host of WASI HTTP, from wasmtime's own parts: what `wasmtime serve` is made of, and beside it, where
//! it is wanted, Spin's key-value store.

use std::collections::HashMap;
use std::future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, LazyLock, Mutex};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::StatusCode;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use wasmtime::component::{Component, GuestTaskId, Linker, ResourceTable};
use wasmtime::{
    CacheStore, Config, Engine, InstanceAllocationStrategy, PoolingAllocationConfig, Result, Store,
    StoreContextMut,
};
use wasmtime_wasi::cli::OutputFile;
use wasmtime_wasi::{WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};
use wasmtime_wasi_http::handler::{
    HandlerState, Instance, Proxy, ProxyHandler, ProxyPre, ShouldAccept, WorkerExpiration,
    WorkerState, WorkerStatus,
};
use wasmtime_wasi_http::p3::bindings::ServicePre;
use wasmtime_wasi_http::{
    Error, RequestOptions, WasiBody, WasiHttpCtx, WasiHttpCtxView, WasiHttpHooks, WasiHttpView,
};

use crate::shelf::{self, Shelf};

/// Functions that were compiled before: the engine's are the same in every modelet.
#[derive(Debug, Default)]
struct Known(Mutex<HashMap<Vec<u8>, Vec<u8>>>);

impl CacheStore for Known {
    fn get(&self, key: &[u8]) -> Option<std::borrow::Cow<'_, [u8]>> {
        let known = self.0.lock().unwrap();
        known.get(key).cloned().map(Into::into)
    }

    fn insert(&self, key: &[u8], value: Vec<u8>) -> bool {
        self.0.lock().unwrap().insert(key.to_vec(), value);
        true
    }
}

static ENGINE: LazyLock<Engine> = LazyLock::new(|| {
    let mut pool = PoolingAllocationConfig::default();
    pool.total_core_instances(2000)
        .total_memories(600)
        .total_component_instances(100)
        .max_core_instances_per_component(200)
        .max_memories_per_component(60)
        .max_component_instance_size(16 << 20);
    let mut config = Config::new();
    config
        .wasm_component_model_async(true)
        // A model's image is sparse; otherwise it is copied at every instantiation.
        .memory_guaranteed_dense_image_size(4 << 30)
        .enable_incremental_compilation(Arc::new(Known::default()))
        .unwrap()
        .allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    Engine::new(&config).unwrap()
});

/// Of all hosts, and of the clients that measure them.
pub static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().unwrap());

/// What a host gives its guests.
#[derive(Clone, Default)]
pub struct Offer {
    /// `None`: there is no key-value store, as in hosts that are not Spin.
    pub shelf: Option<Arc<Shelf>>,
    /// Requests that one instance answers.
    pub reuse: usize,
    /// What guests say on standard error.
    pub log: Option<Arc<std::fs::File>>,
    pub environment: Vec<(&'static str, &'static str)>,
}

/// A component that is served on a port that was free.
pub struct Host {
    pub address: SocketAddr,
    serving: tokio::task::JoinHandle<()>,
}

impl Drop for Host {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Host {
    pub fn start(component: &[u8], offer: Offer) -> Host {
        let state = State::new(component, offer).unwrap();
        let handler = ProxyHandler::new(state);
        let listener = RUNTIME.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let serving = RUNTIME.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                stream.set_nodelay(true).unwrap();
                let handler = handler.clone();
                let service = service_fn(move |request| answer(handler.clone(), request));
                let http = hyper::server::conn::http1::Builder::new();
                tokio::spawn(http.serve_connection(TokioIo::new(stream), service));
            }
        });
        Host { address, serving }
    }
}

/// As `wasmtime serve` has it: a guest that traps is a 500 without a body.
async fn answer(
    handler: ProxyHandler<State>,
    request: http::Request<Incoming>,
) -> Result<http::Response<WasiBody>, Error> {
    let request = request.map(|body| body.map_err(Error::from).boxed_unsync());
    match handler.handle((), request).await {
        Ok(response) => Ok(response),
        Err(_) => {
            let nothing = Full::new(Bytes::new()).map_err(|never| match never {});
            let mut response = http::Response::new(nothing.boxed_unsync());
            *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
            Ok(response)
        }
    }
}

struct State {
    service: ServicePre<Guest>,
    offer: Offer,
}

impl State {
    fn new(component: &[u8], offer: Offer) -> Result<State> {
        let component = Component::new(&ENGINE, component)?;
        let mut linker: Linker<Guest> = Linker::new(&ENGINE);
        wasmtime_wasi::p3::clocks::add_to_linker(&mut linker)?;
        wasmtime_wasi::p3::random::add_to_linker(&mut linker)?;
        wasmtime_wasi::p3::cli::add_to_linker(&mut linker)?;
        wasmtime_wasi_http::p3::add_to_linker(&mut linker)?;
        if offer.shelf.is_some() {
            shelf::add_to_linker(&mut linker)?;
        }
        let service = ServicePre::new(linker.instantiate_pre(&component)?)?;
        Ok(State { service, offer })
    }
}

/// What belongs to one instance.
pub struct Guest {
    pub table: ResourceTable,
    pub shelf: Arc<Shelf>,
    wasi: WasiCtx,
    http: WasiHttpCtx,
    hooks: Hooks,
}

struct Hooks;

impl WasiHttpHooks for Hooks {
    /// The gateway asks nobody outside.
    fn send_request(
        &mut self,
        _: http::Request<WasiBody>,
        _: Option<RequestOptions>,
        _: Box<dyn Future<Output = Result<(), Error>> + Send>,
    ) -> Sent {
        Box::new(async { Err(Error::HttpRequestDenied) })
    }
}

type Sent = Box<dyn Future<Output = Result<(http::Response<WasiBody>, Io), Error>> + Send>;
type Io = Box<dyn Future<Output = Result<(), Error>> + Send>;

impl WasiView for Guest {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView {
            ctx: &mut self.wasi,
            table: &mut self.table,
        }
    }
}

impl WasiHttpView for Guest {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView {
            ctx: &mut self.http,
            table: &mut self.table,
            hooks: &mut self.hooks,
        }
    }
}

impl HandlerState for State {
    type StoreData = Guest;
    type WorkerExpiration = Idle;
    type WorkerState = Reuse;

    async fn instantiate(&self) -> Result<Instance<Guest, Idle, Reuse>> {
        let mut wasi = WasiCtxBuilder::new();
        match &self.offer.log {
            Some(file) => wasi.stderr(OutputFile::new(file.try_clone()?)),
            None => wasi.inherit_stderr(),
        };
        wasi.envs(&self.offer.environment);
        let guest = Guest {
            table: ResourceTable::new(),
            shelf: self.offer.shelf.clone().unwrap_or_default(),
            wasi: wasi.build(),
            http: WasiHttpCtx::new(),
            hooks: Hooks,
        };
        let mut store = Store::new(&ENGINE, guest);
        let service = ProxyPre::P3(self.service.clone());
        let proxy: Proxy = service.instantiate_async(&mut store).await?;
        Ok(Instance {
            store,
            proxy,
            view: Guest::http,
            expiration: Idle,
            state: Reuse(self.offer.reuse),
        })
    }
}

/// An instance that waits for nothing more is waited for no longer than the test.
struct Idle;

impl WorkerExpiration for Idle {
    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>, _: WorkerStatus, _: Instant) -> Poll<()> {
        Poll::Pending
    }
}

struct Reuse(usize);

impl WorkerState for Reuse {
    type StoreData = Guest;
    type RequestData = ();

    fn should_accept_request(&self, _: usize, total: usize) -> ShouldAccept {
        match total < self.0 {
            true => ShouldAccept::Yes,
            false => ShouldAccept::Never,
        }
    }

    fn on_request_start(
        &self,
        _: StoreContextMut<'_, Guest>,
        (): (),
        _: GuestTaskId,
    ) -> Pin<Box<dyn Future<Output = ()> + Send + Sync>> {
        Box::pin(future::pending())
    }

    fn drop(&self, _: Store<Guest>, _: Result<(), wasmtime::Error>) {}
}

/// Until a condition holds.
pub fn await_that(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < Duration::from_secs(30), "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

//! Each call, in terms of the registry and the request path.

use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::{Stream, StreamExt as _};
use http::HeaderMap;
use tonic::metadata::MetadataMap;
use tonic::{Extensions, Request, Response, Status, Streaming};

use super::convert;
use super::proto::grpc_inference_service_server::GrpcInferenceService;
use super::proto::*;
use crate::app::App;
use crate::registry::{Ready, ResolveError};
use crate::request::{self, Answer, Failure};
use crate::rest::repository::{change, unsupported};
use crate::rest::{self, EXTENSIONS};
use crate::route::{Asked, Peer, Route};

/// gRPC's face of the server.
pub struct Service {
    pub app: Arc<App>,
}

type Reply<T> = Result<Response<T>, Status>;

fn ok<T>(message: T) -> Reply<T> {
    Ok(Response::new(message))
}

#[tonic::async_trait]
impl GrpcInferenceService for Service {
    type ModelStreamInferStream =
        Pin<Box<dyn Stream<Item = Result<ModelStreamInferResponse, Status>> + Send>>;

    async fn server_live(&self, _: Request<ServerLiveRequest>) -> Reply<ServerLiveResponse> {
        ok(ServerLiveResponse { live: true })
    }

    async fn server_ready(&self, _: Request<ServerReadyRequest>) -> Reply<ServerReadyResponse> {
        ok(ServerReadyResponse {
            ready: self.app.is_ready(),
        })
    }

    async fn model_ready(&self, request: Request<ModelReadyRequest>) -> Reply<ModelReadyResponse> {
        let request = request.into_inner();
        match self.resolve(&request.name, &request.version) {
            Ok(_) => ok(ModelReadyResponse { ready: true }),
            Err(Failure::Resolve(ResolveError::NotReady { .. })) => {
                ok(ModelReadyResponse { ready: false })
            }
            Err(failure) => Err(failure.into()),
        }
    }

    async fn server_metadata(
        &self,
        _: Request<ServerMetadataRequest>,
    ) -> Reply<ServerMetadataResponse> {
        ok(ServerMetadataResponse {
            name: "modelet".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            extensions: EXTENSIONS.map(str::to_owned).to_vec(),
        })
    }

    async fn model_metadata(
        &self,
        request: Request<ModelMetadataRequest>,
    ) -> Reply<ModelMetadataResponse> {
        let request = request.into_inner();
        let ready = self.resolve(&request.name, &request.version)?;
        let versions = self.app.registry.versions(ready.model.as_str());
        ok(convert::metadata(&ready, versions))
    }

    async fn model_infer(&self, request: Request<ModelInferRequest>) -> Reply<ModelInferResponse> {
        let deadline = self.deadline(&request);
        let (envelope, request) = Envelope::open(request);
        let (response, answer) = infer(&self.app, &envelope, request, deadline).await?;
        let mut headers = HeaderMap::new();
        answer.tell(&mut headers);
        let metadata = MetadataMap::from_headers(headers);
        let mut response = Response::from_parts(metadata, response, Extensions::default());
        if let Some(ready) = answer.ready() {
            // For the log.
            response.extensions_mut().insert(ready.clone());
        }
        Ok(response)
    }

    async fn model_stream_infer(
        &self,
        request: Request<Streaming<ModelInferRequest>>,
    ) -> Reply<Self::ModelStreamInferStream> {
        let app = self.app.clone();
        let (envelope, requests) = Envelope::open(request);
        let envelope = Arc::new(envelope);
        // A client that keeps its stream open must not keep the server from stopping.
        let requests = requests.take_until(app.drained());
        let answers = requests.then(move |request| {
            let (app, envelope) = (app.clone(), envelope.clone());
            async move {
                let deadline = Instant::now() + app.config.request_timeout;
                let answer = infer(&app, &envelope, request?, deadline).await;
                // A request that fails is answered in its turn; the stream goes on.
                Ok(match answer {
                    Ok((response, _)) => ModelStreamInferResponse {
                        error_message: String::new(),
                        infer_response: Some(response),
                    },
                    Err(failure) => ModelStreamInferResponse {
                        error_message: failure.to_string(),
                        infer_response: None,
                    },
                })
            }
        });
        ok(answers.boxed())
    }

    async fn model_config(
        &self,
        request: Request<ModelConfigRequest>,
    ) -> Reply<ModelConfigResponse> {
        let request = request.into_inner();
        let ready = self.resolve(&request.name, &request.version)?;
        ok(ModelConfigResponse {
            config: Some(convert::config(&ready)),
        })
    }

    async fn model_statistics(
        &self,
        request: Request<ModelStatisticsRequest>,
    ) -> Reply<ModelStatisticsResponse> {
        let request = request.into_inner();
        let mut ready = self.app.registry.all_ready();
        if !request.name.is_empty() {
            let named = self.resolve(&request.name, &request.version)?;
            ready.retain(|other| {
                other.model == named.model
                    && (request.version.is_empty() || other.version == named.version)
            });
        }
        let model_stats = ready
            .iter()
            .map(|ready| convert::statistics(ready))
            .collect();
        ok(ModelStatisticsResponse { model_stats })
    }

    async fn repository_index(
        &self,
        request: Request<RepositoryIndexRequest>,
    ) -> Reply<RepositoryIndexResponse> {
        let index = self.app.registry.index(request.into_inner().ready);
        let models = index.into_iter().map(convert::index_entry).collect();
        ok(RepositoryIndexResponse { models })
    }

    async fn repository_model_load(
        &self,
        request: Request<RepositoryModelLoadRequest>,
    ) -> Reply<RepositoryModelLoadResponse> {
        let request = request.into_inner();
        if let Some(parameter) = request.parameters.keys().next() {
            return Err(unsupported(parameter).into());
        }
        change(self.app.clone(), move |app| app.load(&request.model_name)).await?;
        ok(RepositoryModelLoadResponse {})
    }

    async fn repository_model_unload(
        &self,
        request: Request<RepositoryModelUnloadRequest>,
    ) -> Reply<RepositoryModelUnloadResponse> {
        let model = request.into_inner().model_name;
        change(self.app.clone(), move |app| app.unload(&model)).await?;
        ok(RepositoryModelUnloadResponse {})
    }
}

impl Service {
    fn resolve(&self, model: &str, version: &str) -> Result<Arc<Ready>, Failure> {
        Ok(self.app.registry.resolve(model, Some(version))?)
    }

    /// The server's limit, or the caller's `grpc-timeout` where that is earlier.
    fn deadline<T>(&self, request: &Request<T>) -> Instant {
        let limit = self.app.config.request_timeout;
        let asked = request
            .metadata()
            .get("grpc-timeout")
            .and_then(|value| grpc_timeout(value.to_str().ok()?));
        Instant::now() + asked.map_or(limit, |asked| asked.min(limit))
    }
}

/// A number of at most eight digits and a unit, as the gRPC protocol writes timeouts.
fn grpc_timeout(text: &str) -> Option<Duration> {
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let number: u64 = number.parse().ok().filter(|number| *number < 100_000_000)?;
    Some(match unit {
        "H" => Duration::from_secs(number * 3600),
        "M" => Duration::from_secs(number * 60),
        "S" => Duration::from_secs(number),
        "m" => Duration::from_millis(number),
        "u" => Duration::from_micros(number),
        "n" => Duration::from_nanos(number),
        _ => return None,
    })
}

/// What comes with a message, or with all messages of a stream.
struct Envelope {
    headers: HeaderMap,
    peer: Option<Peer>,
}

impl Envelope {
    fn open<T>(request: Request<T>) -> (Envelope, T) {
        let (metadata, extensions, message) = request.into_parts();
        let envelope = Envelope {
            headers: metadata.into_headers(),
            peer: extensions.get().copied(),
        };
        (envelope, message)
    }
}

async fn infer(
    app: &Arc<App>,
    envelope: &Envelope,
    request: ModelInferRequest,
    deadline: Instant,
) -> Result<(ModelInferResponse, Answer), Failure> {
    let start = Instant::now();
    let found = app.registry.find(&request.model_name)?;
    let route = {
        let asked = Asked {
            version: Some(&request.model_version),
            headers: &envelope.headers,
            parameter: &|name| convert::text(request.parameters.get(name)?),
            peer: envelope.peer,
        };
        Route::new(app, found, &asked)
    };
    let (model, id) = (request.model_name.clone(), request.id.clone());
    let raw = !request.raw_input_contents.is_empty();
    let named = rest::infer::id(Some(&id), &envelope.headers);
    let request = convert::request(request, named, deadline)?;
    let decoding = start.elapsed();
    let mut answer = request::infer(app, route, request).await?;
    let start = Instant::now();
    let response = convert::response(model, id, &mut answer, raw);
    if let Some(ready) = answer.ready() {
        ready.statistics.compute_input.add(decoding);
        ready.statistics.compute_output.add(start.elapsed());
    }
    Ok((response, answer))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts_are_read_as_grpc_writes_them() {
        assert_eq!(grpc_timeout("100m"), Some(Duration::from_millis(100)));
        assert_eq!(
            grpc_timeout("99999999H"),
            Some(Duration::from_secs(99_999_999 * 3600))
        );
        for text in ["", "m", "1", "1x", "-1S", "999999999S", "é"] {
            assert_eq!(grpc_timeout(text), None, "{text}");
        }
    }
}

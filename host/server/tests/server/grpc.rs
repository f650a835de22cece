//! gRPC: every call, every datatype in both forms, and the codes of what goes wrong.

use std::time::Duration;

use modelet_protocol::Datatype;
use modelet_server::Config;
use prost::Message;
use tonic::codec::CompressionEncoding;
use tonic::transport::Channel;
use tonic::{Code, Request, Response, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_prost::ProstCodec;

use self::proto::infer_parameter::ParameterChoice;
use self::proto::model_infer_request::{InferInputTensor, InferRequestedOutputTensor};
use self::proto::*;
use crate::modelet::{Behaviour, DATATYPES, vector};
use crate::served::{Served, config};

/// The messages that the server's own build generated.
#[allow(
    clippy::all,
    clippy::allow_attributes_without_reason,
    unused_qualifications,
    reason = "generated code"
)]
mod proto {
    include!(concat!(env!("OUT_DIR"), "/inference.rs"));
}

struct Client(tonic::client::Grpc<Channel>);

impl Client {
    async fn connect(served: &Served) -> Client {
        Client(tonic::client::Grpc::new(channel(served).await))
    }

    async fn call<Q, A>(&mut self, method: &str, request: Request<Q>) -> Result<Response<A>, Status>
    where
        Q: Message + 'static,
        A: Message + Default + 'static,
    {
        self.0.ready().await.unwrap();
        let path = format!("/inference.GRPCInferenceService/{method}");
        let codec = ProstCodec::<Q, A>::default();
        self.0.unary(request, path.try_into().unwrap(), codec).await
    }

    async fn ask<Q, A>(&mut self, method: &str, request: Q) -> Result<A, Status>
    where
        Q: Message + 'static,
        A: Message + Default + 'static,
    {
        let answer = self.call(method, Request::new(request)).await?;
        Ok(answer.into_inner())
    }

    async fn infer(&mut self, request: ModelInferRequest) -> Result<ModelInferResponse, Status> {
        self.ask("ModelInfer", request).await
    }

    async fn stream(
        &mut self,
        requests: Vec<ModelInferRequest>,
    ) -> Result<Vec<ModelStreamInferResponse>, Status> {
        self.0.ready().await.unwrap();
        let path = "/inference.GRPCInferenceService/ModelStreamInfer";
        let codec = ProstCodec::<ModelInferRequest, ModelStreamInferResponse>::default();
        let requests = Request::new(futures::stream::iter(requests));
        let answers = self
            .0
            .streaming(requests, path.try_into().unwrap(), codec)
            .await?;
        let mut answers = answers.into_inner();
        let mut all = Vec::new();
        while let Some(answer) = answers.message().await? {
            all.push(answer);
        }
        Ok(all)
    }
}

async fn channel(served: &Served) -> Channel {
    let address = format!("http://{}", served.address);
    Channel::from_shared(address)
        .unwrap()
        .connect()
        .await
        .unwrap()
}

fn serve(datatype: Datatype, behaviour: Behaviour) -> Served {
    Served::start(config(), &[("m", vector("m", datatype, behaviour))])
}

fn typed(datatype: Datatype, size: i64, contents: InferTensorContents) -> ModelInferRequest {
    ModelInferRequest {
        model_name: "m".to_owned(),
        id: "seven".to_owned(),
        inputs: vec![InferInputTensor {
            name: "x".to_owned(),
            datatype: datatype.to_string(),
            shape: vec![size],
            contents: Some(contents),
            ..InferInputTensor::default()
        }],
        ..ModelInferRequest::default()
    }
}

fn raw(datatype: Datatype, size: i64, data: &[u8]) -> ModelInferRequest {
    let mut request = typed(datatype, size, InferTensorContents::default());
    request.inputs[0].contents = None;
    request.raw_input_contents = vec![data.to_vec()];
    request
}

fn floats(values: &[f32]) -> ModelInferRequest {
    let contents = InferTensorContents {
        fp32_contents: values.to_vec(),
        ..InferTensorContents::default()
    };
    typed(Datatype::Fp32, values.len() as i64, contents)
}

/// Two elements of each datatype, typed and raw.
fn elements(datatype: Datatype) -> (InferTensorContents, Vec<u8>) {
    let mut typed = InferTensorContents::default();
    let raw: &[u8] = match datatype {
        Datatype::Bool => {
            typed.bool_contents = vec![true, false];
            &[1, 0]
        }
        Datatype::Uint8 => {
            typed.uint_contents = vec![1, 255];
            &[1, 255]
        }
        Datatype::Uint16 => {
            typed.uint_contents = vec![1, 65535];
            &[1, 0, 255, 255]
        }
        Datatype::Uint32 => {
            typed.uint_contents = vec![1, u32::MAX];
            &[1, 0, 0, 0, 255, 255, 255, 255]
        }
        Datatype::Uint64 => {
            typed.uint64_contents = vec![1, u64::MAX];
            &[
                1, 0, 0, 0, 0, 0, 0, 0, 255, 255, 255, 255, 255, 255, 255, 255,
            ]
        }
        Datatype::Int8 => {
            typed.int_contents = vec![1, -128];
            &[1, 128]
        }
        Datatype::Int16 => {
            typed.int_contents = vec![1, -32768];
            &[1, 0, 0, 128]
        }
        Datatype::Int32 => {
            typed.int_contents = vec![1, -2];
            &[1, 0, 0, 0, 254, 255, 255, 255]
        }
        Datatype::Int64 => {
            typed.int64_contents = vec![1, -2];
            &[
                1, 0, 0, 0, 0, 0, 0, 0, 254, 255, 255, 255, 255, 255, 255, 255,
            ]
        }
        // It has no typed form.
        Datatype::Fp16 => &[0, 60, 0, 188],
        Datatype::Fp32 => {
            typed.fp32_contents = vec![1.0, -2.0];
            &[0, 0, 128, 63, 0, 0, 0, 192]
        }
        Datatype::Fp64 => {
            typed.fp64_contents = vec![1.0, -2.0];
            &[0, 0, 0, 0, 0, 0, 240, 63, 0, 0, 0, 0, 0, 0, 0, 192]
        }
        Datatype::Bytes => {
            typed.bytes_contents = vec![vec![255, 0], vec![]];
            &[2, 0, 0, 0, 255, 0, 0, 0, 0, 0]
        }
    };
    (typed, raw.to_vec())
}

#[tokio::test]
async fn every_datatype_comes_back_in_the_form_it_went() {
    for datatype in DATATYPES {
        let served = serve(datatype, Behaviour::Echo);
        let mut client = Client::connect(&served).await;
        let (contents, bytes) = elements(datatype);

        let answer = client.infer(raw(datatype, 2, &bytes)).await.unwrap();
        assert_eq!(
            (answer.id.as_str(), answer.model_version.as_str()),
            ("seven", "1")
        );
        assert_eq!(answer.raw_output_contents, [bytes], "{datatype}");
        let output = &answer.outputs[0];
        assert_eq!(
            (&output.datatype, &output.shape),
            (&datatype.to_string(), &vec![2])
        );
        assert_eq!(output.contents, None);

        let answer = client.infer(typed(datatype, 2, contents.clone())).await;
        if datatype == Datatype::Fp16 {
            check(
                answer,
                Code::InvalidArgument,
                "FP16 travels only in raw_input_contents",
            );
            continue;
        }
        let answer = answer.unwrap();
        assert_eq!(answer.outputs[0].contents, Some(contents), "{datatype}");
        assert_eq!(answer.raw_output_contents, Vec::<Vec<u8>>::new());
    }
}

#[track_caller]
fn check<T: std::fmt::Debug>(answer: Result<T, Status>, code: Code, expected: &str) {
    let status = answer.unwrap_err();
    assert_eq!(status.code(), code, "{status}");
    assert!(
        status.message().contains(expected),
        "`{expected}` is not in: {status}"
    );
}

#[tokio::test]
async fn what_is_wrong_is_said_with_a_code() {
    let served = serve(Datatype::Int8, Behaviour::Echo);
    let mut client = Client::connect(&served).await;
    let good = || typed(Datatype::Int8, 1, elements_of(&[1]));
    let change = |change: fn(&mut ModelInferRequest)| {
        let mut request = good();
        change(&mut request);
        request
    };
    client.infer(good()).await.unwrap();
    for (request, code, expected) in [
        (
            change(|it| it.model_name = "none".into()),
            Code::NotFound,
            "no model `none`",
        ),
        (
            change(|it| it.model_name.clear()),
            Code::NotFound,
            "no model ``",
        ),
        (
            change(|it| it.model_version = "2".into()),
            Code::NotFound,
            "no version `2`",
        ),
        (
            change(|it| it.inputs.clear()),
            Code::InvalidArgument,
            "is missing",
        ),
        (
            change(|it| it.inputs[0].name = "y".into()),
            Code::InvalidArgument,
            "no input `y`",
        ),
        (
            change(|it| it.inputs[0].datatype = "I8".into()),
            Code::InvalidArgument,
            "`I8`",
        ),
        (
            change(|it| it.inputs[0].shape = vec![-1]),
            Code::InvalidArgument,
            "negative",
        ),
        (
            change(|it| it.inputs[0].shape = vec![2]),
            Code::InvalidArgument,
            "takes 2 bytes, got 1",
        ),
        (
            change(|it| it.inputs[0].shape = vec![i64::MAX, 4]),
            Code::InvalidArgument,
            "overflows",
        ),
        (
            change(|it| it.inputs[0].contents = Some(elements_of(&[128]))),
            Code::InvalidArgument,
            "128 is out of range",
        ),
        (
            change(|it| it.raw_input_contents = vec![vec![1]]),
            Code::InvalidArgument,
            "cannot be mixed",
        ),
        (
            change(|it| it.raw_input_contents = vec![vec![1], vec![1]]),
            Code::InvalidArgument,
            "raw_input_contents has 2 tensors, inputs has 1",
        ),
        (
            change(|it| {
                it.outputs = vec![InferRequestedOutputTensor {
                    name: "y".into(),
                    ..InferRequestedOutputTensor::default()
                }]
            }),
            Code::InvalidArgument,
            "no output `y`",
        ),
        (
            change(|it| {
                let region = InferParameter {
                    parameter_choice: Some(ParameterChoice::StringParam("r".into())),
                };
                it.inputs[0]
                    .parameters
                    .insert("shared_memory_region".into(), region);
            }),
            Code::Unimplemented,
            "shared_memory_region",
        ),
    ] {
        check(client.infer(request).await, code, expected);
    }
    client.infer(good()).await.unwrap();
}

fn elements_of(values: &[i32]) -> InferTensorContents {
    InferTensorContents {
        int_contents: values.to_vec(),
        ..InferTensorContents::default()
    }
}

#[tokio::test]
async fn failures_inside_a_model_have_their_codes() {
    for (behaviour, code, expected) in [
        (Behaviour::Fail, Code::Internal, "the model failed: odd"),
        (Behaviour::Trap, Code::Internal, "the model trapped"),
        (
            Behaviour::Grow,
            Code::Internal,
            "more memory than its limit",
        ),
    ] {
        let served = serve(Datatype::Fp32, behaviour);
        let mut client = Client::connect(&served).await;
        check(client.infer(floats(&[1.0])).await, code, expected);
    }
}

#[tokio::test]
async fn a_deadline_is_kept_wherever_it_stands() {
    let served = serve(Datatype::Fp32, Behaviour::Spin);
    // By hand: the client gives up by itself when it knows the time.
    let message = floats(&[1.0]).encode_to_vec();
    let length = u32::try_from(message.len()).unwrap().to_be_bytes();
    let headers = [
        ("content-type", "application/grpc"),
        ("grpc-timeout", "100m"),
    ];
    let path = "/inference.GRPCInferenceService/ModelInfer";
    let body = [&[0], &length[..], &message].concat();
    let answer = served.request("POST", path, &headers, &body);
    assert_eq!(answer.header("grpc-status"), Some("4"), "{}", answer.head);

    let mut client = Client::connect(&served).await;
    for timeout in [
        ParameterChoice::Int64Param(100_000),
        ParameterChoice::Uint64Param(100_000),
    ] {
        let mut request = floats(&[1.0]);
        let timeout = InferParameter {
            parameter_choice: Some(timeout),
        };
        request.parameters.insert("timeout".to_owned(), timeout);
        check(
            client.infer(request).await,
            Code::DeadlineExceeded,
            "before its deadline",
        );
    }
}

#[tokio::test]
async fn a_full_queue_is_unavailable() {
    let none = Config {
        concurrency: 1,
        queue: 0,
        request_timeout: Duration::from_secs(3),
        ..config()
    };
    let served = Served::start(none, &[("m", vector("m", Datatype::Fp32, Behaviour::Spin))]);
    let channel = channel(&served).await;
    let calls = (0..4).map(|_| {
        let mut client = Client(tonic::client::Grpc::new(channel.clone()));
        async move { client.infer(floats(&[1.0])).await.unwrap_err().code() }
    });
    let mut codes = futures::future::join_all(calls).await;
    codes.sort_by_key(|code| *code as i32);
    assert_eq!(codes[0], Code::DeadlineExceeded);
    assert_eq!(codes[1..], [Code::Unavailable; 3]);
}

#[tokio::test]
async fn messages_are_compressed_both_ways_and_limited() {
    let small = Config {
        body_bytes: 1000,
        ..config()
    };
    let served = Served::start(
        small,
        &[("m", vector("m", Datatype::Fp32, Behaviour::Echo))],
    );
    for (encoding, name) in [
        (CompressionEncoding::Gzip, "gzip"),
        (CompressionEncoding::Deflate, "deflate"),
    ] {
        let client = tonic::client::Grpc::new(channel(&served).await);
        let mut client = Client(client.send_compressed(encoding).accept_compressed(encoding));
        let request = Request::new(floats(&[0.0; 100]));
        let answer: Response<ModelInferResponse> =
            client.call("ModelInfer", request).await.unwrap();
        assert_eq!(answer.metadata().get("grpc-encoding").unwrap(), name);
        assert_eq!(answer.into_inner().outputs[0].shape, [100]);
        check(
            client.infer(floats(&[0.0; 10_000])).await,
            Code::ResourceExhausted,
            "1000 bytes",
        );
    }
    let mut client = Client::connect(&served).await;
    check(
        client.infer(floats(&[0.0; 1000])).await,
        Code::OutOfRange,
        "1000 bytes",
    );
}

#[tokio::test]
async fn a_stream_answers_in_order_and_outlives_a_failure() {
    let served = serve(Datatype::Fp32, Behaviour::Echo);
    let mut client = Client::connect(&served).await;
    let mut wrong = floats(&[2.0]);
    wrong.model_name = "none".to_owned();
    let answers = client
        .stream(vec![floats(&[1.0]), wrong, floats(&[3.0])])
        .await
        .unwrap();
    let values: Vec<_> = answers
        .iter()
        .map(|answer| match &answer.infer_response {
            Some(response) => response.outputs[0].contents.clone().unwrap().fp32_contents,
            None => vec![],
        })
        .collect();
    assert_eq!(values, [vec![1.0], vec![], vec![3.0]]);
    assert_eq!(answers[0].error_message, "");
    assert_eq!(answers[1].error_message, "there is no model `none`");
}

#[tokio::test]
async fn what_models_are_is_told() {
    let served = serve(Datatype::Bytes, Behaviour::Echo);
    let mut client = Client::connect(&served).await;
    let live: ServerLiveResponse = client
        .ask("ServerLive", ServerLiveRequest {})
        .await
        .unwrap();
    let ready: ServerReadyResponse = client
        .ask("ServerReady", ServerReadyRequest {})
        .await
        .unwrap();
    assert!(live.live && ready.ready);
    let server: ServerMetadataResponse = client
        .ask("ServerMetadata", ServerMetadataRequest {})
        .await
        .unwrap();
    assert_eq!(server.name, "modelet");

    let named = ModelMetadataRequest {
        name: "m".to_owned(),
        version: String::new(),
    };
    let metadata: ModelMetadataResponse = client.ask("ModelMetadata", named).await.unwrap();
    assert_eq!(metadata.versions, ["1"]);
    let input = &metadata.inputs[0];
    assert_eq!(
        (input.name.as_str(), input.datatype.as_str()),
        ("x", "BYTES")
    );
    assert_eq!(input.shape, [-1]);
    let named = ModelConfigRequest {
        name: "m".to_owned(),
        version: "1".to_owned(),
    };
    let config: ModelConfigResponse = client.ask("ModelConfig", named).await.unwrap();
    let config = config.config.unwrap();
    assert_eq!(config.input[0].data_type(), DataType::TypeString);
    assert_eq!(config.output[0].dims, [-1]);
}

#[tokio::test]
async fn calls_are_counted() {
    let served = serve(Datatype::Fp32, Behaviour::Echo);
    let mut client = Client::connect(&served).await;
    client.infer(floats(&[1.0, 2.0])).await.unwrap();
    client
        .infer(typed(Datatype::Int8, 1, elements_of(&[1])))
        .await
        .unwrap_err();
    for name in ["", "m"] {
        let request = ModelStatisticsRequest {
            name: name.to_owned(),
            version: String::new(),
        };
        let answer: ModelStatisticsResponse = client.ask("ModelStatistics", request).await.unwrap();
        let [counted] = answer.model_stats.try_into().unwrap();
        assert_eq!((counted.inference_count, counted.execution_count), (2, 1));
        let times = counted.inference_stats.unwrap();
        assert_eq!(
            (times.success.unwrap().count, times.fail.unwrap().count),
            (1, 1)
        );
        assert!(times.compute_infer.unwrap().ns > 0);
    }
    let request = ModelStatisticsRequest {
        name: "none".to_owned(),
        version: String::new(),
    };
    let answer = client.ask::<_, ModelStatisticsResponse>("ModelStatistics", request);
    check(answer.await, Code::NotFound, "no model `none`");
}

#[tokio::test]
async fn the_repository_is_managed() {
    let served = serve(Datatype::Fp32, Behaviour::Echo);
    let mut client = Client::connect(&served).await;
    let unload = RepositoryModelUnloadRequest {
        model_name: "m".to_owned(),
        ..RepositoryModelUnloadRequest::default()
    };
    let _: RepositoryModelUnloadResponse =
        client.ask("RepositoryModelUnload", unload).await.unwrap();
    check(
        client.infer(floats(&[1.0])).await,
        Code::Unavailable,
        "it was unloaded",
    );
    assert_eq!(states(&mut client, false).await, ["UNAVAILABLE"]);
    assert_eq!(states(&mut client, true).await, Vec::<String>::new());
    let ready = ModelReadyRequest {
        name: "m".to_owned(),
        version: String::new(),
    };
    let ready: ModelReadyResponse = client.ask("ModelReady", ready).await.unwrap();
    assert!(!ready.ready);

    let mut load = RepositoryModelLoadRequest {
        model_name: "m".to_owned(),
        ..RepositoryModelLoadRequest::default()
    };
    let _: RepositoryModelLoadResponse = client
        .ask("RepositoryModelLoad", load.clone())
        .await
        .unwrap();
    assert_eq!(states(&mut client, true).await, ["READY"]);
    client.infer(floats(&[1.0])).await.unwrap();
    load.parameters
        .insert("config".to_owned(), ModelRepositoryParameter::default());
    let answer = client.ask::<_, RepositoryModelLoadResponse>("RepositoryModelLoad", load);
    check(
        answer.await,
        Code::Unimplemented,
        "parameter `config` is not supported",
    );
}

async fn states(client: &mut Client, ready: bool) -> Vec<String> {
    let request = RepositoryIndexRequest {
        repository_name: String::new(),
        ready,
    };
    let index: RepositoryIndexResponse = client.ask("RepositoryIndex", request).await.unwrap();
    index.models.into_iter().map(|model| model.state).collect()
}

#[tokio::test]
async fn what_is_no_service_is_unimplemented() {
    let served = serve(Datatype::Fp32, Behaviour::Echo);
    let mut client = tonic::client::Grpc::new(channel(&served).await);
    for path in [
        "/inference.GRPCInferenceService/Nothing",
        "/other.Service/Call",
    ] {
        client.ready().await.unwrap();
        let codec = ProstCodec::<ServerLiveRequest, ServerLiveResponse>::default();
        let request = Request::new(ServerLiveRequest {});
        let answer = client.unary(request, path.try_into().unwrap(), codec).await;
        assert_eq!(answer.unwrap_err().code(), Code::Unimplemented, "{path}");
    }
}

#[tokio::test]
async fn health_follows_the_server_and_does_not_hold_up_its_end() {
    let mut served = serve(Datatype::Fp32, Behaviour::Echo);
    let mut health = HealthClient::new(channel(&served).await);
    for service in ["", "inference.GRPCInferenceService"] {
        let request = HealthCheckRequest {
            service: service.to_owned(),
        };
        let mut status = ServingStatus::Unknown;
        // The health service hears of a ready server a moment after everybody else.
        while status != ServingStatus::Serving {
            status = health
                .check(request.clone())
                .await
                .unwrap()
                .get_ref()
                .status();
        }
    }
    let unknown = HealthCheckRequest {
        service: "none".to_owned(),
    };
    assert_eq!(
        health.check(unknown).await.unwrap_err().code(),
        Code::NotFound
    );
    let watched = health.watch(HealthCheckRequest::default()).await.unwrap();
    let mut watched = watched.into_inner();
    let first = watched.message().await.unwrap().unwrap();
    assert_eq!(first.status(), ServingStatus::Serving);
    served.stop();
    let last = watched.message().await.unwrap().unwrap();
    assert_eq!(last.status(), ServingStatus::NotServing);
    let waited = tokio::task::spawn_blocking(|| served.stopped())
        .await
        .unwrap();
    assert!(waited < Duration::from_secs(10), "{waited:?}");
}

#[tokio::test]
async fn an_open_stream_does_not_hold_up_the_end() {
    let mut served = serve(Datatype::Fp32, Behaviour::Echo);
    let mut client = Client::connect(&served).await;
    client.0.ready().await.unwrap();
    let path = "/inference.GRPCInferenceService/ModelStreamInfer";
    let codec = ProstCodec::<ModelInferRequest, ModelStreamInferResponse>::default();
    let requests = Request::new(futures::stream::pending());
    let open = client
        .0
        .streaming(requests, path.try_into().unwrap(), codec)
        .await
        .unwrap();
    served.stop();
    let waited = tokio::task::spawn_blocking(|| served.stopped())
        .await
        .unwrap();
    assert!(waited < Duration::from_secs(10), "{waited:?}");
    drop(open);
}

/// The head of a call came, its message does not.
#[tokio::test]
async fn a_message_that_does_not_come_is_not_waited_for() {
    let short = Config {
        request_timeout: Duration::from_millis(200),
        ..config()
    };
    let served = Served::start(
        short,
        &[("m", vector("m", Datatype::Fp32, Behaviour::Echo))],
    );
    let mut client = Client::connect(&served).await;
    client.0.ready().await.unwrap();
    let path = "/inference.GRPCInferenceService/ModelInfer";
    let codec = ProstCodec::<ModelInferRequest, ModelInferResponse>::default();
    let requests = Request::new(futures::stream::pending());
    let answer = client
        .0
        .streaming(requests, path.try_into().unwrap(), codec);
    let answer = tokio::time::timeout(Duration::from_secs(30), answer)
        .await
        .unwrap();
    check(answer.map(|_| ()), Code::DeadlineExceeded, "deadline");
}

#[tokio::test]
async fn a_request_id_comes_back() {
    let served = serve(Datatype::Fp32, Behaviour::Echo);
    let mut client = Client::connect(&served).await;
    let mut request = Request::new(floats(&[1.0]));
    request
        .metadata_mut()
        .insert("x-request-id", "abc".parse().unwrap());
    let answer: Response<ModelInferResponse> = client.call("ModelInfer", request).await.unwrap();
    assert_eq!(answer.metadata().get("x-request-id").unwrap(), "abc");
}

//! Deadlines, sizes and queues, and how open calls end.

use std::time::Duration;

use modelet_server::Config;
use tonic::codec::CompressionEncoding;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use super::proto::infer_parameter::ParameterChoice;
use super::*;

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

//! What each call tells and does.

use super::proto::infer_parameter::ParameterChoice;
use super::*;

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

#[tokio::test]
async fn who_answered_instead_is_told() {
    let served = serve(Datatype::Fp32, Behaviour::Echo);
    let trap = vector("m", Datatype::Fp32, Behaviour::Trap);
    served.put("m/2/model.wasm", &trap);
    served.put("m/model.toml", b"fallback.chain = [{ version = 1 }]");
    served.app.refresh();
    let mut client = Client::connect(&served).await;
    let request = Request::new(floats(&[1.0]));
    let answer: Response<ModelInferResponse> = client.call("ModelInfer", request).await.unwrap();
    let header = |name| answer.metadata().get(name).unwrap().to_str().unwrap();
    assert_eq!(header("modelet-served-by"), "m/1");
    assert_eq!(header("modelet-fallback-reason"), "trap");
    let answer = answer.get_ref();
    assert_eq!(answer.model_version, "1");
    for (name, expected) in [
        ("modelet_served_by", "m/1"),
        ("modelet_fallback_reason", "trap"),
    ] {
        let expected = ParameterChoice::StringParam(expected.to_owned());
        assert_eq!(answer.parameters[name].parameter_choice, Some(expected));
    }
    let mut pinned = Request::new(floats(&[1.0]));
    let version = "2".parse().unwrap();
    pinned.metadata_mut().insert("modelet-version", version);
    let answer: Result<Response<ModelInferResponse>, _> = client.call("ModelInfer", pinned).await;
    check(answer, Code::Internal, "trapped");
}

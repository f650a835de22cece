//! gRPC, with a client that says what it likes.

mod calls;
mod data;
mod limits;

use modelet_protocol::Datatype;
use prost::Message;
use tonic::transport::Channel;
use tonic::{Code, Request, Response, Status};
use tonic_prost::ProstCodec;

use self::proto::model_infer_request::InferInputTensor;
use self::proto::*;
use crate::modelet::{Behaviour, vector};
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

#[track_caller]
fn check<T: std::fmt::Debug>(answer: Result<T, Status>, code: Code, expected: &str) {
    let status = answer.unwrap_err();
    assert_eq!(status.code(), code, "{status}");
    assert!(
        status.message().contains(expected),
        "`{expected}` is not in: {status}"
    );
}

fn elements_of(values: &[i32]) -> InferTensorContents {
    InferTensorContents {
        int_contents: values.to_vec(),
        ..InferTensorContents::default()
    }
}

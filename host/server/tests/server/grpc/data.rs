//! Tensors in both forms, and the codes of what is wrong with them.

use super::proto::infer_parameter::ParameterChoice;
use super::proto::model_infer_request::InferRequestedOutputTensor;
use super::*;
use crate::modelet::DATATYPES;

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

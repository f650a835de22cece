//! The bodies of inference requests and of other servers' responses, JSON and binary tensors.
#![no_main]

use libfuzzer_sys::fuzz_target;
use modelet_protocol::rest::{InferResponse, decode_request, decode_response, encode_response};
use modelet_protocol::{Signature, Tensor};

// The first two bytes are the header that says how much is JSON; the largest number leaves it out.
fuzz_target!(|input: (u16, &[u8])| {
    let (header, body) = input;
    let json_length = (header != u16::MAX).then_some(usize::from(header));
    let signature = Signature {
        inputs: vec![
            "x=FP32[N,2]"
                .parse()
                .expect("it is written as it should be"),
        ],
        outputs: vec![],
    };
    if let Ok(response) = decode_response(body, json_length) {
        let tensors = response.outputs.iter();
        tensors.for_each(|tensor| tensor.check().expect("what was decoded is a tensor"));
    }
    let decoded = match decode_request(body, json_length, &signature) {
        Ok(decoded) => decoded,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            return;
        }
    };
    for tensor in &decoded.inputs {
        tensor.check().expect("what was decoded is a tensor");
    }
    assert_eq!(there_and_back(&decoded.inputs, &signature), decoded.inputs);
});

/// Writes the tensors as binary outputs and reads them as inputs.
fn there_and_back(tensors: &[Tensor], signature: &Signature) -> Vec<Tensor> {
    let response = InferResponse {
        model_name: String::new(),
        model_version: None,
        id: None,
        parameters: Default::default(),
        outputs: tensors.to_vec(),
    };
    let ask = br#"{"inputs":[],"parameters":{"binary_data_output":true}}"#;
    let ask = decode_request(ask, None, signature).expect("it asks for binary outputs");
    let encoded = encode_response(&response, &ask).expect("binary carries everything");
    let Some(json_length) = encoded.json_length else {
        assert!(tensors.is_empty());
        return vec![];
    };
    let (json, binary) = encoded.body.split_at(json_length);
    let json = std::str::from_utf8(json).expect("JSON is text");
    let json = json.replacen("\"outputs\":", "\"inputs\":", 1);
    let body = [json.as_bytes(), binary].concat();
    let decoded = decode_request(&body, Some(json.len()), signature);
    decoded.expect("what was encoded decodes").inputs
}

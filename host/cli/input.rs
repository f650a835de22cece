//! What a model is asked, from a file or standard input, and its answer as the server writes it.

use std::io::{self, Read as _};
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use modelet_artifact::Metadata;
use modelet_protocol::rest::{InferRequest, InferResponse, decode_request, encode_response};
use modelet_protocol::{Signature, Tensor};

use crate::{inspect, npy};

/// Reads a request in JSON or, for a model of one input, a `.npy` file. `-` is standard input.
pub fn read(path: &Path, signature: &Signature) -> Result<InferRequest> {
    if path == Path::new("-") {
        let mut bytes = Vec::new();
        io::stdin()
            .lock()
            .read_to_end(&mut bytes)
            .context("standard input cannot be read")?;
        return decode(&bytes, signature).context("standard input is not an inference request");
    }
    decode(&inspect::read(path)?, signature)
        .with_context(|| format!("{} is not an inference request", path.display()))
}

fn decode(bytes: &[u8], signature: &Signature) -> Result<InferRequest> {
    if !bytes.starts_with(npy::MAGIC) {
        return Ok(decode_request(bytes, None, signature)?);
    }
    match signature.inputs.as_slice() {
        [input] => Ok(plain(vec![npy::read(bytes, &input.name)?])),
        inputs => bail!(
            "a .npy file is one array, the model has {} inputs; write the request in JSON",
            inputs.len()
        ),
    }
}

/// Everything in JSON, all outputs.
fn plain(inputs: Vec<Tensor>) -> InferRequest {
    InferRequest {
        id: None,
        parameters: serde_json::Map::new(),
        inputs,
        outputs: Vec::new(),
        binary_data_output: false,
    }
}

/// The answer to the request `id`, in JSON and a line feed.
pub fn answer(metadata: &Metadata, id: Option<String>, outputs: Vec<Tensor>) -> Result<Vec<u8>> {
    let response = InferResponse {
        model_name: metadata.name.clone(),
        model_version: metadata.version.clone(),
        id,
        parameters: serde_json::Map::new(),
        outputs,
    };
    let mut body = encode_response(&response, &plain(Vec::new()))?.body;
    body.push(b'\n');
    Ok(body)
}

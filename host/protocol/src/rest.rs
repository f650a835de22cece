//! The REST form of the protocol: JSON, and JSON followed by binary tensors.

mod data;
mod decode;
mod encode;
mod lenient;
pub mod metadata;
mod outputs;
mod request;
mod response;

pub use data::tensor as tensor_from_json;
pub use decode::{DecodeError, unreadable};
pub use encode::{EncodeError, Encoded};
pub use outputs::{keep, outputs_from_json};
pub use request::{InferRequest, RequestedOutput, decode_request, encode_request};
pub use response::{InferResponse, decode_response, encode_response};

/// The header that says how many bytes of a body are JSON; binary tensors are the rest.
pub const HEADER_LENGTH: &str = "inference-header-content-length";

/// What [`HEADER_LENGTH`] says, where it is there. The error is for who sent it.
pub fn json_length(header: Option<&[u8]>) -> Result<Option<usize>, String> {
    let Some(value) = header else {
        return Ok(None);
    };
    let text = str::from_utf8(value).ok();
    let length = text.and_then(|text| text.trim().parse().ok());
    length.map(Some).ok_or_else(|| {
        let shown = String::from_utf8_lossy(value);
        format!("Inference-Header-Content-Length is a number of bytes, not {shown:?}")
    })
}

//! The REST form of the protocol: JSON, and JSON followed by binary tensors.

mod data;
mod decode;
mod encode;
mod lenient;
pub mod metadata;
mod request;
mod response;

pub use data::tensor as tensor_from_json;
pub use decode::DecodeError;
pub use encode::{EncodeError, Encoded};
pub use request::{InferRequest, RequestedOutput, decode_request, encode_request};
pub use response::{InferResponse, decode_response, encode_response};

/// The header that says how many bytes of a body are JSON; binary tensors are the rest.
pub const HEADER_LENGTH: &str = "inference-header-content-length";

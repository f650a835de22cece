//! The REST form of the protocol: JSON, and JSON followed by binary tensors.

mod data;
mod lenient;
pub mod metadata;
mod request;
mod response;

pub use data::tensor as tensor_from_json;
pub use request::{InferRequest, RequestError, RequestedOutput, decode_request};
pub use response::{Encoded, InferResponse, ResponseError, encode_response};

/// The header that says how many bytes of a body are JSON; binary tensors are the rest.
pub const HEADER_LENGTH: &str = "inference-header-content-length";

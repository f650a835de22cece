//! The bodies of the calls that run no model.

use serde::{Deserialize, Serialize};

use crate::{Datatype, Signature, TensorSpec};

/// `GET /v2`
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ServerMetadata {
    pub name: String,
    pub version: String,
    pub extensions: Vec<String>,
}

/// `GET /v2/models/M`
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ModelMetadata {
    pub name: String,
    pub versions: Vec<String>,
    pub platform: String,
    pub inputs: Vec<TensorMetadata>,
    pub outputs: Vec<TensorMetadata>,
}

/// A declared tensor; −1 stands for a dimension that the model leaves open.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TensorMetadata {
    pub name: String,
    pub datatype: Datatype,
    pub shape: Vec<i64>,
}

/// `GET /v2/models/M/ready`
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ModelReady {
    pub name: String,
    pub ready: bool,
}

/// What every call answers that does not succeed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ErrorBody {
    pub error: String,
}

/// `POST /v2/repository/index`, an entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IndexEntry {
    pub name: String,
    pub version: String,
    /// `READY`, `LOADING`, `UNLOADING` or `UNAVAILABLE`.
    pub state: String,
    pub reason: String,
}

impl ModelMetadata {
    pub fn new(
        name: &str,
        versions: Vec<String>,
        platform: &str,
        signature: &Signature,
    ) -> ModelMetadata {
        ModelMetadata {
            name: name.to_owned(),
            versions,
            platform: platform.to_owned(),
            inputs: signature.inputs.iter().map(TensorMetadata::from).collect(),
            outputs: signature.outputs.iter().map(TensorMetadata::from).collect(),
        }
    }
}

impl From<&TensorSpec> for TensorMetadata {
    fn from(spec: &TensorSpec) -> TensorMetadata {
        TensorMetadata {
            name: spec.name.clone(),
            datatype: spec.datatype,
            shape: spec.wire_shape(),
        }
    }
}

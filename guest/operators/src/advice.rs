//! What to do about an operator that does not run.

use tract_onnx::pb::NodeProto;

/// How to do without an operator that there is none of.
pub fn missing(node: &NodeProto) -> &'static str {
    match &*node.op_type {
        "Solve" => {
            "skl2onnx makes it of GaussianProcessClassifier, and ONNX Runtime does not run it either; \
             SVC(probability=True) is close to it"
        }
        "MurmurHash3" => "use CountVectorizer or OneHotEncoder in place of hashed features",
        "CastMap" => {
            "maps cannot be sent to a model; train on columns, with OneHotEncoder for those of texts"
        }
        "SequenceAt" | "SequenceMap" | "SplitToSequence" | "SequenceInsert" | "SequenceLength"
        | "SequenceEmpty" | "SequenceErase" | "ConcatFromSequence" => {
            "lists of tensors are not computed with; convert with skl2onnx's options={'zipmap': False}, \
             or each estimator by itself"
        }
        "Loop" => "export with fixed sizes, so that the exporter can write the loop out",
        "RegexFullMatch" | "StringSplit" | "StringConcat" | "ImageDecoder" => {
            "do this before they are sent, and leave it out of the model"
        }
        _ => of_domain(&node.domain),
    }
}

fn of_domain(domain: &str) -> &'static str {
    match domain {
        "com.microsoft" => {
            "convert again and leave ONNX Runtime's optimiser out, which puts in operators of its own"
        }
        "ai.onnx.contrib" => {
            "onnxruntime-extensions has it and ONNX has not; do this step before the tensors are sent, \
             and leave it out of the model"
        }
        "org.pytorch.aten" | "aten" | "pkg.onnxscript.torch_lib" => {
            "PyTorch left it as it was; export again with torch.onnx.export(..., dynamo=True) and a \
             newer opset_version"
        }
        "" | "ai.onnx" | "ai.onnx.ml" => {
            "convert with another target_opset, or leave this step out of the model"
        }
        _ => {
            "only ONNX's own operators run; convert the step with them (skl2onnx: \
             update_registered_converter), or put its definition into the file as an ONNX function"
        }
    }
}

/// What may help where an operator is there and a node of it cannot be used.
pub fn unusable(node: &NodeProto) -> &'static str {
    match &*node.op_type {
        "Tokenizer" => {
            "give the vectorizer a simple pattern in the converter: options={TfidfVectorizer: \
             {'tokenexp': '[a-zA-Z0-9_]+'}}"
        }
        "ZipMap" => "convert with skl2onnx's options={'zipmap': False}",
        "DictVectorizer" => {
            "train on columns in place of dictionaries, with OneHotEncoder for those of texts"
        }
        "If" => "export with fixed sizes and in evaluation mode, so that the exporter decides it",
        "Scan" => "export with fixed sizes, so that the exporter can write the loop out",
        "Cast" => "convert with another datatype in its place",
        "TreeEnsemble" | "TreeEnsembleClassifier" | "TreeEnsembleRegressor" => {
            "the file is damaged or its converter has a bug: convert again with a newer one"
        }
        _ => {
            "docs/operators.md lists what runs of each operator; convert with another target_opset"
        }
    }
}

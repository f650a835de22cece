"""tritonclient over HTTP, as it comes: `python triton_http.py HOST:PORT`, which serves `iris`."""

import sys

import numpy as np
import tritonclient.http as triton
from tritonclient.utils import InferenceServerException

from report import check, finish

client = triton.InferenceServerClient(sys.argv[1], concurrency=2)
rows = np.array([[5.1, 3.5, 1.4, 0.2], [6.1, 2.8, 4.7, 1.2]], np.float32)


def given(binary):
    tensor = triton.InferInput("X", list(rows.shape), "FP32")
    tensor.set_data_from_numpy(rows, binary_data=binary)
    return [tensor]


def right(result):
    label, scores = result.as_numpy("label"), result.as_numpy("probabilities")
    assert label.dtype == np.int64 and label.tolist() == [0, 1], label
    assert scores.shape == (2, 3) and np.allclose(scores.sum(axis=1), 1, atol=1e-5), scores


def wanted(binary):
    return [triton.InferRequestedOutput(name, binary_data=binary) for name in ("label", "probabilities")]


def infer(binary_in, binary_out, **options):
    right(client.infer("iris", given(binary_in), outputs=wanted(binary_out), **options))


def selected():
    result = client.infer("iris", given(True), outputs=[triton.InferRequestedOutput("probabilities")])
    assert result.as_numpy("label") is None and result.as_numpy("probabilities").shape == (2, 3)


def metadata():
    found = client.get_model_metadata("iris")
    assert found["inputs"] == [{"name": "X", "datatype": "FP32", "shape": [-1, 4]}], found
    assert client.get_server_metadata()["name"] == "modelet"


def config():
    assert client.get_model_config("iris")["input"][0]["data_type"] == "TYPE_FP32"


def statistics():
    found = client.get_inference_statistics("iris")["model_stats"][0]
    assert found["inference_stats"]["success"]["count"] > 0, found
    assert client.get_inference_statistics()["model_stats"], "all models"


def repository():
    assert {"name": "iris", "version": "1", "state": "READY", "reason": ""} in client.get_model_repository_index()
    client.unload_model("iris")
    assert not client.is_model_ready("iris")
    client.load_model("iris")
    assert client.is_model_ready("iris")


def parameters():
    result = client.infer("iris", given(True), request_id="seven", timeout=10_000_000, parameters={"note": "x"})
    assert result.get_response()["id"] == "seven"


def fails(message, call):
    try:
        call()
    except InferenceServerException as error:
        assert message in error.message(), error.message()
        return
    raise AssertionError("no error")


def wrong_type():
    tensor = triton.InferInput("X", [1, 4], "FP64")
    tensor.set_data_from_numpy(np.zeros((1, 4)))
    client.infer("iris", [tensor])


check("live", lambda: client.is_server_live() or 1 / 0)
check("ready", lambda: client.is_server_ready() or 1 / 0)
check("model ready", lambda: client.is_model_ready("iris") or 1 / 0)
check("model ready, version", lambda: client.is_model_ready("iris", "1") or 1 / 0)
check("metadata", metadata)
check("config", config)
check("infer, defaults", lambda: right(client.infer("iris", given(True))))
for binary_in in (True, False):
    for binary_out in (True, False):
        check(f"infer, binary in {binary_in}, out {binary_out}", lambda: infer(binary_in, binary_out))
for encoding in ("gzip", "deflate"):
    for binary in (True, False):
        check(
            f"infer, {encoding} both ways, binary {binary}",
            lambda: infer(
                binary, binary,
                request_compression_algorithm=encoding, response_compression_algorithm=encoding,
            ),
        )
check("infer, one version", lambda: infer(True, True, model_version="1"))
check("infer, one output", selected)
check("infer, id and parameters", parameters)
check("infer, async", lambda: right(client.async_infer("iris", given(True)).get_result()))
check("statistics", statistics)
check("repository", repository)
check("error, unknown model", lambda: fails("no model `none`", lambda: client.get_model_metadata("none")))
check("error, wrong datatype", lambda: fails("input `X` is FP32, got FP64", wrong_type))
client.close()
finish()

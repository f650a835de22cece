"""tritonclient over gRPC, as it comes: `python triton_grpc.py HOST:PORT`, which serves `iris`."""

import queue
import sys

import numpy as np
import tritonclient.grpc as triton
from tritonclient.utils import InferenceServerException

from report import check, finish

client = triton.InferenceServerClient(sys.argv[1])
rows = np.array([[5.1, 3.5, 1.4, 0.2], [6.1, 2.8, 4.7, 1.2]], np.float32)


def given():
    tensor = triton.InferInput("X", list(rows.shape), "FP32")
    tensor.set_data_from_numpy(rows)
    return [tensor]


def right(result):
    label, scores = result.as_numpy("label"), result.as_numpy("probabilities")
    assert label.dtype == np.int64 and label.tolist() == [0, 1], label
    assert scores.shape == (2, 3) and np.allclose(scores.sum(axis=1), 1, atol=1e-5), scores


def metadata():
    found = client.get_model_metadata("iris", as_json=True)
    assert found["inputs"] == [{"name": "X", "datatype": "FP32", "shape": ["-1", "4"]}], found
    assert client.get_server_metadata().name == "modelet"


def config():
    config = client.get_model_config("iris").config
    assert config.input[0].name == "X" and list(config.input[0].dims) == [-1, 4], config


def statistics():
    found = client.get_inference_statistics("iris").model_stats[0]
    assert found.inference_stats.success.count > 0, found


def repository():
    models = client.get_model_repository_index().models
    assert [(model.name, model.state) for model in models] == [("iris", "READY")], models
    client.unload_model("iris")
    assert not client.is_model_ready("iris")
    client.load_model("iris")
    assert client.is_model_ready("iris")


def selected():
    result = client.infer("iris", given(), outputs=[triton.InferRequestedOutput("probabilities")])
    assert result.as_numpy("label") is None and result.as_numpy("probabilities").shape == (2, 3)


def parameters():
    result = client.infer("iris", given(), request_id="seven", timeout=10_000_000, parameters={"note": "x"})
    assert result.get_response().id == "seven"


def background(start):
    answers = queue.Queue()
    start(lambda result, error: answers.put(error or result))
    answer = answers.get(timeout=30)
    if isinstance(answer, Exception):
        raise answer
    right(answer)


def stream(callback):
    client.start_stream(callback)
    client.async_stream_infer("iris", given())
    client.stop_stream()


def fails(message, call):
    try:
        call()
    except InferenceServerException as error:
        assert message in error.message(), error.message()
        return
    raise AssertionError("no error")


check("live", lambda: client.is_server_live() or 1 / 0)
check("ready", lambda: client.is_server_ready() or 1 / 0)
check("model ready", lambda: client.is_model_ready("iris", "1") or 1 / 0)
check("metadata", metadata)
check("config", config)
check("infer, defaults", lambda: right(client.infer("iris", given())))
for encoding in ("gzip", "deflate"):
    check(f"infer, {encoding}", lambda: right(client.infer("iris", given(), compression_algorithm=encoding)))
check("infer, one version", lambda: right(client.infer("iris", given(), model_version="1")))
check("infer, one output", selected)
check("infer, id and parameters", parameters)
check("infer, with a deadline", lambda: right(client.infer("iris", given(), client_timeout=30)))
check("infer, async", lambda: background(lambda done: client.async_infer("iris", given(), done)))
check("infer, stream", lambda: background(stream))
check("statistics", statistics)
check("repository", repository)
check("error, unknown model", lambda: fails("no model `none`", lambda: client.get_model_metadata("none")))
client.close()
finish()

"""Texts in and labels out, in every form the protocol has: `python texts.py HOST:PORT ZOO MODEL...`.

The server has the models, which are entries of the zoo; what they answer must be what ONNX Runtime
answered, which ZOO/MODEL/golden.json has.
"""

import json
import sys
from pathlib import Path

import grpc
import numpy as np
import tritonclient.grpc
import tritonclient.http
from tritonclient.grpc import service_pb2, service_pb2_grpc
from tritonclient.utils import InferenceServerException

from report import check, finish

address, zoo, models = sys.argv[1], Path(sys.argv[2]), sys.argv[3:]
clients = {
    "http": tritonclient.http.InferenceServerClient(address),
    "grpc": tritonclient.grpc.InferenceServerClient(address),
}
modules = {"http": tritonclient.http, "grpc": tritonclient.grpc}
# The client itself sends all of its tensors raw.
stub = service_pb2_grpc.GRPCInferenceServiceStub(grpc.insecure_channel(address))
DTYPES = {"FP32": np.float32, "INT64": np.int64, "BYTES": np.object_}


def array(tensor):
    data = tensor["data"]
    if tensor["datatype"] == "BYTES":
        data = [text.encode() for text in data]
    elif tensor["datatype"] == "FP32":
        data = [float(number) for number in data]
    return np.array(data, DTYPES[tensor["datatype"]]).reshape(tensor["shape"])


def cases(model):
    return json.loads((zoo / model / "golden.json").read_text())["cases"]


def same(wanted, got):
    """`got` maps names to arrays."""
    assert len(got) == len(wanted["outputs"]), got.keys()
    for tensor in wanted["outputs"]:
        right, answer = array(tensor), got[tensor["name"]]
        assert answer.shape == right.shape, (wanted["name"], answer.shape)
        if tensor["datatype"] == "BYTES":
            answer = [text.encode() if isinstance(text, str) else text for text in answer.ravel()]
            assert answer == right.ravel().tolist(), (wanted["name"], answer)
        elif tensor["datatype"] == "FP32":
            assert np.allclose(answer, right, rtol=1e-5, atol=1e-6, equal_nan=True), wanted["name"]
        else:
            assert answer.tolist() == right.tolist(), wanted["name"]


def by_triton(transport, model, inputs, **options):
    """What comes back in binary, or in JSON where the inputs go in JSON."""
    given = []
    for name, datatype, values in inputs:
        tensor = modules[transport].InferInput(name, list(values.shape), datatype)
        tensor.set_data_from_numpy(values, **options)
        given.append(tensor)
    outputs = None
    if options:
        names = [output["name"] for output in clients[transport].get_model_metadata(model)["outputs"]]
        outputs = [modules[transport].InferRequestedOutput(name, **options) for name in names]
    result = clients[transport].infer(model, given, outputs=outputs)
    names = [output["name"] for output in cases(model)[0]["outputs"]]
    return {name: result.as_numpy(name) for name in names}


FIELDS = {"FP32": "fp32_contents", "INT64": "int64_contents", "BYTES": "bytes_contents"}


def by_typed_contents(model, inputs):
    request = service_pb2.ModelInferRequest(model_name=model)
    for name, datatype, values in inputs:
        tensor = request.inputs.add(name=name, datatype=datatype, shape=values.shape)
        getattr(tensor.contents, FIELDS[datatype]).extend(values.ravel().tolist())
    got = {}
    for output in stub.ModelInfer(request).outputs:
        values = list(getattr(output.contents, FIELDS[output.datatype]))
        got[output.name] = np.array(values, DTYPES[output.datatype]).reshape(list(output.shape))
    return got


WAYS = {
    "REST, binary": lambda model, inputs: by_triton("http", model, inputs),
    "REST, JSON": lambda model, inputs: by_triton("http", model, inputs, binary_data=False),
    "gRPC, raw": lambda model, inputs: by_triton("grpc", model, inputs),
    "gRPC, contents": by_typed_contents,
}


def given(case):
    return [(tensor["name"], tensor["datatype"], array(tensor)) for tensor in case["inputs"]]


def right(way, model):
    for case in cases(model):
        same(case, WAYS[way](model, given(case)))


def not_text(way, model):
    """One row whose first text is no UTF-8."""
    inputs = given(cases(model)[0])
    text = next(values for _, datatype, values in inputs if datatype == "BYTES")
    text.ravel()[0] = b"caf\xe9"
    try:
        WAYS[way](model, inputs)
    except InferenceServerException as error:
        assert error.status() in ("400", "StatusCode.INVALID_ARGUMENT"), error.status()
        said = error.message()
    except grpc.RpcError as error:
        assert error.code() == grpc.StatusCode.INVALID_ARGUMENT, error.code()
        said = error.details()
    else:
        raise AssertionError("it was answered")
    assert "not UTF-8 text" in said and "element 0" in said, said


for model in models:
    for way in WAYS:
        check(f"{model}: {way}", lambda: right(way, model))
        # JSON is UTF-8 as a whole: the client cannot even write it.
        if way != "REST, JSON":
            check(f"{model}: {way}, what is no text", lambda: not_text(way, model))
for client in clients.values():
    client.close()
finish()

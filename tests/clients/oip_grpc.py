"""The protocol's own gRPC stubs, with typed contents: `python oip_grpc.py HOST:PORT`, which serves `iris`."""

import sys

import grpc
from open_inference.grpc import protocol as messages
from open_inference.grpc.service import GRPCInferenceServiceStub

from report import check, finish

stub = GRPCInferenceServiceStub(grpc.insecure_channel(sys.argv[1]))


def infer():
    request = messages.ModelInferRequest(model_name="iris", id="seven")
    tensor = request.inputs.add(name="X", datatype="FP32", shape=[1, 4])
    tensor.contents.fp32_contents.extend([5.1, 3.5, 1.4, 0.2])
    response = stub.ModelInfer(request)
    label, scores = response.outputs
    assert response.id == "seven" and response.model_version == "1", response
    assert list(label.contents.int64_contents) == [0], label
    assert abs(sum(scores.contents.fp32_contents) - 1) < 1e-5, scores


def refused():
    try:
        stub.ModelInfer(messages.ModelInferRequest(model_name="none"))
    except grpc.RpcError as error:
        assert error.code() == grpc.StatusCode.NOT_FOUND, error
        assert error.details() == "there is no model `none`", error
        return
    raise AssertionError("no error")


def metadata():
    found = stub.ModelMetadata(messages.ModelMetadataRequest(name="iris"))
    assert list(found.inputs[0].shape) == [-1, 4] and list(found.versions) == ["1"], found


check("live", lambda: stub.ServerLive(messages.ServerLiveRequest()).live or 1 / 0)
check("ready", lambda: stub.ServerReady(messages.ServerReadyRequest()).ready or 1 / 0)
check("model ready", lambda: stub.ModelReady(messages.ModelReadyRequest(name="iris")).ready or 1 / 0)
check("server metadata", lambda: stub.ServerMetadata(messages.ServerMetadataRequest()).name == "modelet" or 1 / 0)
check("model metadata", metadata)
check("infer, typed contents", infer)
check("error, unknown model", refused)
finish()

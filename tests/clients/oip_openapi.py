"""The client generated from the protocol's OpenAPI document: `python oip_openapi.py HOST:PORT`, which serves `iris`."""

import sys

from open_inference.openapi.client import OpenInferenceClient
from open_inference.openapi.types import InferenceRequest, RequestInput, TensorData

from report import check, finish

client = OpenInferenceClient(base_url=f"http://{sys.argv[1]}")
request = InferenceRequest(
    id="seven",
    inputs=[
        RequestInput(
            name="X", shape=[1, 4], datatype="FP32", data=TensorData.parse_obj([5.1, 3.5, 1.4, 0.2])
        )
    ],
)


def right(response):
    outputs = {output.name: output for output in response.outputs}
    assert response.id == "seven" and response.model_name == "iris", response
    assert outputs["label"].datatype == "INT64" and outputs["label"].shape == [1], outputs
    assert "0" in str(outputs["label"].data), outputs


def metadata():
    found = client.read_model_metadata("iris")
    assert found.inputs[0].name == "X" and found.inputs[0].shape == [-1, 4], found


check("live", client.check_server_liveness)
check("ready", client.check_server_readiness)
check("model ready", lambda: client.check_model_readiness("iris"))
check("version ready", lambda: client.check_model_version_readiness("iris", "1"))
check("server metadata", lambda: client.read_server_metadata().name == "modelet" or 1 / 0)
check("model metadata", metadata)
check("infer", lambda: right(client.model_infer("iris", request=request)))
check("infer, one version", lambda: right(client.model_version_infer("iris", "1", request=request)))
finish()

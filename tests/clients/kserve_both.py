"""KServe's inference clients, REST and gRPC: `python kserve_both.py HOST:PORT`, which serves `iris`."""

import asyncio
import sys

import numpy as np
from kserve import InferenceGRPCClient, InferenceRESTClient, InferInput, InferRequest, RESTConfig

from report import check, finish

address = sys.argv[1]
base = f"http://{address}"
rows = np.array([[5.1, 3.5, 1.4, 0.2], [6.1, 2.8, 4.7, 1.2]], np.float32)


def request(binary):
    tensor = InferInput("X", list(rows.shape), "FP32")
    tensor.set_data_from_numpy(rows, binary_data=binary)
    return InferRequest("iris", [tensor])


def right(response):
    outputs = {output.name: output.as_numpy() for output in response.outputs}
    assert outputs["label"].tolist() == [0, 1], outputs
    assert outputs["probabilities"].shape == (2, 3), outputs


def rest(call):
    async def run():
        client = InferenceRESTClient(RESTConfig(protocol="v2"))
        try:
            return await call(client)
        finally:
            await client.close()

    return asyncio.run(run())


def grpc(call):
    async def run():
        client = InferenceGRPCClient(address)
        try:
            return await call(client)
        finally:
            await client.close()

    return asyncio.run(run())


def infer_rest(binary):
    right(rest(lambda client: client.infer(base, request(binary), model_name="iris")))


check("REST, live", lambda: rest(lambda client: client.is_server_live(base)) or 1 / 0)
check("REST, ready", lambda: rest(lambda client: client.is_server_ready(base)) or 1 / 0)
check("REST, model ready", lambda: rest(lambda client: client.is_model_ready(base, "iris")) or 1 / 0)
check("REST, infer, JSON", lambda: infer_rest(False))
check("REST, infer, binary", lambda: infer_rest(True))
check("gRPC, live", lambda: grpc(lambda client: client.is_server_live()) or 1 / 0)
check("gRPC, ready", lambda: grpc(lambda client: client.is_server_ready()) or 1 / 0)
check("gRPC, model ready", lambda: grpc(lambda client: client.is_model_ready("iris")) or 1 / 0)
check("gRPC, infer, typed", lambda: right(grpc(lambda client: client.infer(request(False)))))
check("gRPC, infer, raw", lambda: right(grpc(lambda client: client.infer(request(True)))))
finish()

"""What a team would write without a model server: FastAPI around ONNX Runtime, one worker.

Usage: python tests/bench/peer.py MODEL.onnx PORT
"""

import sys

import numpy as np
import onnxruntime
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel

NAMES = {"float32": "FP32", "int64": "INT64"}


class Tensor(BaseModel):
    name: str
    datatype: str
    shape: list[int]
    data: list[float]


class Request(BaseModel):
    inputs: list[Tensor]


def app(path: str) -> FastAPI:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    app = FastAPI()

    @app.get("/v2/models/iris/ready")
    async def ready() -> None:
        pass

    @app.post("/v2/models/iris/infer")
    async def infer(request: Request) -> dict:
        feed = {
            tensor.name: np.array(tensor.data, dtype=np.float32).reshape(tensor.shape)
            for tensor in request.inputs
        }
        outputs = [
            {
                "name": name,
                "datatype": NAMES[str(value.dtype)],
                "shape": value.shape,
                "data": value.ravel().tolist(),
            }
            for name, value in zip(names, session.run(None, feed))
        ]
        return {"model_name": "iris", "outputs": outputs}

    return app


if __name__ == "__main__":
    uvicorn.run(
        app(sys.argv[1]),
        host="127.0.0.1",
        port=int(sys.argv[2]),
        access_log=False,
        log_level="warning",
        loop="uvloop",
        http="httptools",
    )

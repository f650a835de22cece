"""Every datatype there and back with tritonclient: `python triton_datatypes.py HOST:PORT`.

The server has the models `identity` and `simple` of `protocol_models.py`.
"""

import sys

import numpy as np
import tritonclient.grpc
import tritonclient.http

from report import check, finish

address = sys.argv[1]
clients = {
    "http": tritonclient.http.InferenceServerClient(address),
    "grpc": tritonclient.grpc.InferenceServerClient(address),
}
modules = {"http": tritonclient.http, "grpc": tritonclient.grpc}

# Two pairs each, with the ends of what the datatype holds.
values = {
    "BOOL": np.array([[True, False], [False, True]]),
    "FP16": np.array([[-0.0, 65504], [np.inf, 6e-8]], np.float16),
    "FP32": np.array([[-0.0, 3.4e38], [-np.inf, 1e-45]], np.float32),
    "FP64": np.array([[-0.0, 1.7e308], [np.inf, 5e-324]], np.float64),
    "BYTES": np.array([["", "naïve"], ["a\nb", "\N{SNOWMAN}" * 1000]], np.object_),
}
for bits in (8, 16, 32, 64):
    for datatype, kind in ((f"INT{bits}", f"int{bits}"), (f"UINT{bits}", f"uint{bits}")):
        ends = np.iinfo(kind)
        values[datatype] = np.array([[ends.min, ends.max], [0, 1]], kind)


def tensor(transport, datatype, **options):
    value = values[datatype]
    made = modules[transport].InferInput(datatype, list(value.shape), datatype)
    made.set_data_from_numpy(value, **options)
    return made


def same(datatype, got):
    wanted = values[datatype]
    if datatype == "BYTES":
        got = np.vectorize(lambda text: text if isinstance(text, str) else text.decode(), otypes=[object])(got)
    assert got.dtype == wanted.dtype and got.shape == wanted.shape, (got.dtype, got.shape)
    # The sign of a zero counts, too.
    bits = got.tolist() == wanted.tolist() if datatype == "BYTES" else got.tobytes() == wanted.tobytes()
    assert bits, (got, wanted)


def there_and_back(transport):
    result = clients[transport].infer("identity", [tensor(transport, datatype) for datatype in values])
    for datatype in values:
        same(datatype, result.as_numpy(f"{datatype}_OUT"))


def in_json(datatype):
    """The other inputs, which the model wants as well, go in binary."""
    inputs = [tensor("http", other) for other in values if other != datatype]
    inputs.append(tensor("http", datatype, binary_data=False))
    output = tritonclient.http.InferRequestedOutput(f"{datatype}_OUT", binary_data=False)
    result = clients["http"].infer("identity", inputs, outputs=[output])
    same(datatype, result.as_numpy(f"{datatype}_OUT"))


def simple(transport):
    """Triton's own example, line by line."""
    module, rows = modules[transport], [np.arange(16, dtype=np.int32).reshape(1, 16), np.ones((1, 16), np.int32)]
    inputs = [module.InferInput(f"INPUT{index}", [1, 16], "INT32") for index in (0, 1)]
    for made, row in zip(inputs, rows):
        made.set_data_from_numpy(row)
    outputs = [module.InferRequestedOutput(f"OUTPUT{index}") for index in (0, 1)]
    result = clients[transport].infer("simple", inputs, outputs=outputs)
    assert (result.as_numpy("OUTPUT0") == rows[0] + rows[1]).all()
    assert (result.as_numpy("OUTPUT1") == rows[0] - rows[1]).all()


for transport in clients:
    check(f"{transport}, all datatypes, defaults", lambda: there_and_back(transport))
    check(f"{transport}, Triton's example `simple`", lambda: simple(transport))
for datatype in values:
    # The protocol has no FP16 in JSON.
    if datatype != "FP16":
        check(f"http, {datatype} in JSON both ways", lambda: in_json(datatype))
for client in clients.values():
    client.close()
finish()

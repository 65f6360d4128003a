"""ONNX Runtime: a graph for each direction, with its weights inside."""
import onnxruntime


def export(vae, folder):
    """x → Gemm → Tanh → Gemm, and a Sigmoid at the decoder's end."""
    save(folder / "decoder.onnx", vae.parameters, ("decoder.hidden.0", "decoder.logits"), "Sigmoid")
    save(folder / "encoder.onnx", vae.parameters, ("encoder.hidden.0", "encoder.mean"), "Identity")


def save(path, P, layers, last):
    """The graph of two layers, in versions of ONNX that any runtime of today reads."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    hidden, head = ([f"{layer}.weight", f"{layer}.bias"] for layer in layers)
    n_in, n_out = P[hidden[0]].shape[1], P[head[0]].shape[0]
    graph = helper.make_graph(
        [
            helper.make_node("Gemm", ["x", *hidden], ["a"], transB=1),  # (M, H)
            helper.make_node("Tanh", ["a"], ["h"]),
            helper.make_node("Gemm", ["h", *head], ["l"], transB=1),  # (M, n_out)
            helper.make_node(last, ["l"], ["y"]),
        ],
        path.stem,
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ("M", n_in))],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ("M", n_out))],
        [numpy_helper.from_array(P[name], name) for name in (*hidden, *head)],
    )
    opset = helper.make_opsetid("", 17)
    onnx.save(helper.make_model(graph, opset_imports=[opset], ir_version=8), path)


def session(path, threads):
    """A function of one array; as many threads within an operator as BLAS has."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    run = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"]).run
    return lambda x: run(["y"], {"x": x})[0]


def decoder(folder, threads):
    """z (M, J) → images (M, D)."""
    return session(folder / "decoder.onnx", threads)


def encoder(folder, threads):
    """Images (M, D) → posterior means (M, J)."""
    return session(folder / "encoder.onnx", threads)

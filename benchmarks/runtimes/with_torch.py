"""PyTorch, eager: a state dict for each direction, run in inference mode."""
import torch
from torch.nn import Linear, Sequential, Sigmoid, Tanh


def export(vae, folder):
    """The state dicts of ``Sequential(Linear, Tanh, Linear)``."""
    for net, head in (("decoder", "logits"), ("encoder", "mean")):
        layers = {"0": f"{net}.hidden.0", "2": f"{net}.{head}"}
        state = {
            f"{place}.{kind}": torch.tensor(vae.parameters[f"{layer}.{kind}"])
            for place, layer in layers.items()
            for kind in ("weight", "bias")
        }
        torch.save(state, folder / f"{net}.pt")


def network(path, threads, *last):
    """A function of one array."""
    torch.set_num_threads(threads)
    state = torch.load(path, weights_only=True)
    (H, n_in), (n_out, _) = state["0.weight"].shape, state["2.weight"].shape
    net = Sequential(Linear(n_in, H), Tanh(), Linear(H, n_out), *last)
    net.load_state_dict(state)

    @torch.inference_mode()
    def run(x):
        return net(torch.from_numpy(x)).numpy()

    return run


def decoder(folder, threads):
    """z (M, J) → images (M, D)."""
    return network(folder / "decoder.pt", threads, Sigmoid())


def encoder(folder, threads):
    """Images (M, D) → posterior means (M, J)."""
    return network(folder / "encoder.pt", threads)

"""The eval ``sgvb`` by JAX, compiled, in float64."""
import os
from functools import partial
from typing import Any

os.environ.setdefault("JAX_PLATFORMS", "cpu")
import jax
from common.bound import loss
from jax import numpy as jnp

jax.config.update("jax_enable_x64", True)
value = jax.jit(partial(loss, jnp))
grad = jax.jit(jax.grad(partial(loss, jnp)))


def prepare(given: dict[str, Any]) -> tuple[dict[str, jax.Array], jax.Array, jax.Array]:
    """Arrays, and programs for their shapes: what is timed then is not the compiler."""
    theta = {name: jnp.array(values) for name, values in given["parameters"].items()}
    arguments = theta, jnp.array(given["x"]), jnp.array(given["eps"])
    for function in FUNCTIONS.values():
        function(*arguments)
    return arguments


FUNCTIONS = {
    "objective": lambda *given: value(*given).block_until_ready(),
    "gradient": lambda *given: jax.block_until_ready(grad(*given)),
}

"""npvae as a tool of GradBench (https://github.com/gradbench/gradbench), and an eval of our own.

GradBench has an *eval* and a *tool* talk to one another in lines of JSON, through an intermediary:
the eval asks for functions and their gradients at points that it chooses, and checks what the
tool answers. Here are all three of them:

    protocol.py     the tool's side: lines in, lines out, every run timed
    session.py      the intermediary, and the table of what it heard
    sgvb.py         the eval ``sgvb``: the gradient of a VAE's lower bound
    with_npvae/     a file a module: forward and backward by hand, beside each other
    with_jax/, with_torch/      ``sgvb`` by peers

``README.md`` says how to run them, and what ``sgvb`` is.
"""

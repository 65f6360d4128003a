def affine_backward(d_a, x, W, b):
    """d_a (M, H), x (M, D), W (H, D), b (H,)"""
    d_x = d_a @ W  # (M, D)
    d_W = d_a.T @ x  # (H, D)
    d_b = d_a.sum(axis=0)  # (H,)
    return d_x, d_W, d_b

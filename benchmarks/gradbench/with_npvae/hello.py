"""x², and its derivative."""


def prepare(x: float) -> tuple[float]:
    return (x,)


def square(x: float) -> float:
    """y = x²"""
    return x * x


def square_backward(x: float) -> float:
    """d_x = 2 x"""
    return 2 * x


FUNCTIONS = {"square": square, "double": square_backward}

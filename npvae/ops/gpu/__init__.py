"""How a GPU runs ops: each by one launch of its twin, products by cuBLAS."""

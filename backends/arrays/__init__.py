"""What the engines share that compute with NumPy's arrays on the cpu, and train nothing: models and their weights.

No engine by itself: `backends/numpy` and `backends/numba` bring the equations.
"""

"""What the engines share that compute with NumPy's arrays on the cpu, and train nothing: models and their weights.

No engine by itself: `backends/numpy` and `backends/numba` bring the equations. What every engine's inference form
counts on the host, which tokens of a batch it computes, is here too: `flat`.
"""

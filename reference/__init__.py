"""The spec: RoBERTa's forward pass in NumPy, written to be read, and the only arbiter of what is right.

Axes, everywhere: B batch, C choices, T tokens, S attended tokens (the cached ones in front), E source tokens,
D hidden, H heads, K head size, F feed-forward, V vocabulary, L labels, N layers. Every line of mathematics ends in the
shape of its result.

Reading order: `heads`, `encoder`, `attention`, `embeddings`, `layers`, and `kernels`, which has their lines as loops;
beside them `losses`, `parameters`, `weights`, `config`, `inputs`, `outputs`, `taps`. The paper wins over fairseq's
released model, that over HF transformers 4.57.6.
"""

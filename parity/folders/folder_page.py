"""The page that explains an exported folder to whoever writes a port in another language."""

from __future__ import annotations

PAGE = """\
# A parity folder: {head} in {dtype}

This folder holds what a port of this model needs in order to be judged, and no Python is needed to use it: weights,
questions ("probes"), the right answers, and how far an honest port in {dtype} may be from them. It was written by
roberta {package}.

## What is here

* `manifest.json` says what there is. Its `config` is the model's (the names are those of HF's config.json), `probes`
  lists the probes, and `files` has the SHA-256 of every other file but this page.
* `weights.safetensors` has the weights under HF's names; a dense weight is (out, in). Names in `weights.tied` of the
  manifest are not in the file: each is the same tensor as the one that it points to. `weights.seeded` lists what the
  checkpoint lacked and was drawn at random; it belongs to the model that is judged all the same.
* Each probe has a folder, `NN-name`, with
  * `inputs.safetensors`: the arguments, named `CALL.ARGUMENT`, such as `0.input_ids`. Ids, masks, types and positions
    are int64, numbers float32. What `asks` lists in the manifest (`output_hidden_states`) is asked for besides;
  * `truth.safetensors`: the answers in float64, named `CALL.OUTPUT`, such as `0.logits`, `0.hidden_states.2` or
    `1.past_key_values.0.1` (layer 0; 0 is the key, 1 the value, 2 and 3 are those of the encoder);
  * `limit.safetensors`: the largest permitted error of each element; infinite where an element is not judged, as at
    padding;
  * `sigma.safetensors`: the standard deviation of each element's error in an honest port;
  * `weights.safetensors` in some: tensors that take the place of those of the same name, in this probe only. They
    magnify a kind of mistake.

The calls of a probe are made one after another on the same model. A call that `continues` (see the manifest) goes on
from the keys and values of the call before it: its `attention_mask` covers the cached tokens, too.

## What to write

For each probe one file, `NN-name.safetensors` (or `NN-name.npz`), with your outputs under the names of the truth, in
any floating-point type. A probe that your port cannot be asked: write no file, and it counts as not covered. Outputs
that the manifest does not call `required` may be left out; if they are there, they are judged.

    roberta parity judge THIS_FOLDER YOUR_FOLDER

## What passes

For every output of every call:

1. It is there if it is required, it has the shape of the truth, and no judged element is NaN or infinite.
2. For every judged element, the absolute value of (output - truth) is at most its limit.
3. Where the manifest has an `rms_limit`: over the judged elements whose sigma is above 0, the square root of the mean
   of ((output - truth) / sigma) squared is at most that limit.

The folder passes if at least one probe passes and none fails. All of it is computed in float64.

## The probes

{probes}
"""


def page(head: str, dtype: str, package: str, probes: list[tuple[str, str]]) -> str:
    """The page.

    Args:
        head: which head.
        dtype: in which precision ports are judged.
        package: the version that writes it.
        probes: folder, and what it is there to catch, of each.

    Example:
        >>> print(page("model", "float32", "0.1", [("01-text", "bias twice")]).splitlines()[-1])
        * `01-text` is there to catch: bias twice.
    """
    listed = "\n".join(f"* `{folder}` is there to catch: {catches}." for folder, catches in probes)
    return PAGE.format(head=head, dtype=dtype, package=package, probes=listed)

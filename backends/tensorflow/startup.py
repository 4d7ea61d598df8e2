"""What must happen before TensorFlow is imported, and right after: quiet, no seizing of memory, no rounding unasked.

Importing the engine changes four settings of the process, each of which can be changed back, or made before:

    TF_CPP_MIN_LOG_LEVEL            "2" where it is not set: warnings and errors. "0" or "1" shows everything
    memory growth                   on, for every accelerator that is not in use yet
    TensorFloat-32                  off: it would round the factors of float32 products to 10 bits;
                                    `tf.config.experimental.enable_tensor_float_32_execution(True)` allows it
    Keras's backend                 none is chosen: it must be TensorFlow
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Generator
from contextlib import contextmanager, suppress

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
REMEDY = "set the environment variable KERAS_BACKEND=tensorflow before Keras is imported, or edit ~/.keras/keras.json"


@contextmanager
def quiet() -> Generator[None]:
    """Hold back what native code writes to the terminal, unless the user wants notes, or an error needs them.

    TensorFlow's start writes notes past every level and every Python stream: to the file descriptor itself.
    """
    if os.environ["TF_CPP_MIN_LOG_LEVEL"] in {"0", "1"}:
        yield
        return
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as notes:
        os.dup2(notes.fileno(), 2)
        try:
            yield
        except BaseException:
            notes.seek(0)
            os.write(kept, notes.read())
            raise
        finally:
            os.dup2(kept, 2)
            os.close(kept)


@contextmanager
def without_jax() -> Generator[None]:
    """Keep TensorFlow from loading JAX, which its converter to TFLite does where there is one.

    That takes a second, and a JAX that is broken would break TensorFlow. What goes without is
    `TFLiteConverter.experimental_from_jax`: who needs it imports TensorFlow first.
    """
    if "jax" in sys.modules:
        yield
        return
    sys.modules["jax"] = None  # pyright: ignore[reportArgumentType]  # as Python marks what is not to be found
    try:
        yield
    finally:
        del sys.modules["jax"]


class KerasSettingError(ImportError):
    """Keras is set to another framework: nothing is to be installed, but a variable to be set."""

    remedy = REMEDY


def require_backend(name: str) -> None:
    """Keras must run on TensorFlow.

    Raises:
        KerasSettingError: it runs on something else; its `remedy` says which variable to set.
    """
    if name != "tensorflow":
        message = f"Keras is set to {name!r}"
        raise KerasSettingError(message)


require_backend(os.environ.get("KERAS_BACKEND") or "tensorflow")
with quiet(), without_jax():
    import tensorflow as tf

    try:
        import keras
    except ImportError as error:
        require_backend(error.name if error.name in {"jax", "torch"} else "tensorflow")
        message = f"Keras cannot be imported ({error})"
        raise ImportError(message) from error
    accelerators = tf.config.list_physical_devices("GPU")

require_backend(keras.backend.backend())
if int(keras.__version__.partition(".")[0]) < 3:
    message = f"required Keras 3, found {keras.__version__}; pip install --upgrade keras"
    raise ImportError(message)
tf.config.experimental.enable_tensor_float_32_execution(False)
for _accelerator in accelerators:
    with suppress(RuntimeError, ValueError):  # in use already, or shared out: then its owner has decided
        tf.config.experimental.set_memory_growth(_accelerator, True)

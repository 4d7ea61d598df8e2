"""Tasks: a text in, an answer in words and numbers out, on any engine.

To be read in this order:

1. ``calling``: what all tasks are; ``weights``: the model that a process has of them; ``records``: what answers are
2. one file for each: ``text_classification``, ``zero_shot_classification``, ``token_classification``,
   ``question_answering``, ``multiple_choice``, ``filling``, ``text_generation``, ``feature_extraction``
3. ``choosing``: from a name to a class
4. ``predictor``: a task as a function from batches to batches, on ``answers`` (its columns) and ``batches`` (whose)

Above the engine everything is NumPy, in float64.
"""

from .calling import Task
from .choosing import TASKS, task
from .feature_extraction import Embedding, FeatureExtraction, Features
from .filling import Filling, FillMask, fill_mask
from .multiple_choice import Choice, MultipleChoice
from .predictor import Predictor
from .question_answering import ExtractedAnswer, QuestionAnswering
from .records import Record
from .text_classification import Classification, TextClassification
from .text_generation import GeneratedText, TextGeneration
from .token_classification import EntityGroup, TokenClassification, TokenEntity
from .weights import Memory
from .zero_shot_classification import ZeroShot, ZeroShotClassification

__all__ = [
    "TASKS",
    "Choice",
    "Classification",
    "Embedding",
    "EntityGroup",
    "ExtractedAnswer",
    "FeatureExtraction",
    "Features",
    "FillMask",
    "Filling",
    "GeneratedText",
    "Memory",
    "MultipleChoice",
    "Predictor",
    "QuestionAnswering",
    "Record",
    "Task",
    "TextClassification",
    "TextGeneration",
    "TokenClassification",
    "TokenEntity",
    "ZeroShot",
    "ZeroShotClassification",
    "fill_mask",
    "task",
]

"""How good are the answers? Ask questions whose answers are known, and count.

:func:`read_questions` reads them from JSON Lines, :func:`evaluate` asks them through an engine's public ``search`` and
``ask``, and the :class:`EvalReport` it returns holds the rates and every single answer.
"""

from __future__ import annotations

from holdfast.rag.evaluation.questions import Question, read_questions
from holdfast.rag.evaluation.report import EvalReport, Record, Scores
from holdfast.rag.evaluation.runner import EvalProgress, Evaluable, evaluate

__all__ = ["EvalProgress", "EvalReport", "Evaluable", "Question", "Record", "Scores", "evaluate", "read_questions"]

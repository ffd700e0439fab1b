"""Expressions and rewrites: CEL, compiled once, evaluated per object.

* `parse`, `tree`: the text as a tree, and its bounds
* `check`: names, functions, parameters, patterns
* `cel`: evaluation by the library; errors in the user's words
* `translate`: the simple subset as Python
* `rewrites`: pipelines and calls
* `values`: what enters and leaves
"""

from metasync.expressions.check import RESERVED, texts_in
from metasync.expressions.errors import ExpressionError, ExpressionSyntaxError
from metasync.expressions.expression import Expression, compile_expression, is_bare
from metasync.expressions.rewrites import call_rewrite, find_rewrite, read_step, rewrite_pipeline
from metasync.expressions.values import CLEAR, KEEP, Sentinel, tidy

__all__ = [
    "CLEAR",
    "KEEP",
    "RESERVED",
    "Expression",
    "ExpressionError",
    "ExpressionSyntaxError",
    "Sentinel",
    "call_rewrite",
    "compile_expression",
    "find_rewrite",
    "is_bare",
    "read_step",
    "rewrite_pipeline",
    "texts_in",
    "tidy",
]

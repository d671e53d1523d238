"""The store for many documents on one machine, or in object storage: a LanceDB table.

See ``layout`` for the rows, ``writing`` for why a document changes in one commit, ``home`` for what a reader sees,
``searching`` for the searches, ``upkeep`` for who tidies the table up.
"""

from holdfast.errors import MissingExtraError

try:
    import lancedb  # noqa: F401 - asked for here, so that a missing package is told by its extra
    import pyarrow as pa  # noqa: F401
except ImportError as error:
    raise MissingExtraError("The LanceDB store", "lance") from error

from holdfast.rag.store.lance.store import LanceStore

__all__ = ["LanceStore"]

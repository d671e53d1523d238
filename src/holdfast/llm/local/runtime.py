"""The only place that imports onnxruntime, so that it is silent before it is there.

From version 1.31 on, the wheel for Linux gives the machine an id, keeps a queue of usage events below the user's cache
folder and sends them to its maker, unless ``ORT_DISABLE_TELEMETRY`` is set before the library is loaded. Holdfast runs
where customers' questions are read: nothing leaves the machine that its operator did not ask for. A variable that the
operator has set is left as it is.
"""

from __future__ import annotations

import os

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

import onnxruntime

__all__ = ["onnxruntime"]

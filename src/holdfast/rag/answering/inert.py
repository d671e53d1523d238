"""Text of documents as a model may read it: without what nobody sees, and what servers take for a role.

Between its tags a passage is only data (:mod:`holdfast.rag.answering.prompting`). Two kinds of text get around tags.
Characters that nobody sees (tag characters, zero-width ones, runs of variation selectors) carry whole sentences that a
model reads and a reader of the document never saw. And the control words of chat templates, ``<|im_start|>`` or
``[INST]``, are read as what they are by servers that look for them in the content of a message, too.
"""

from __future__ import annotations

import re
import unicodedata

__all__ = ["inert"]

_JOINERS = frozenset("\u200c\u200d")
"""What Persian, Indian scripts and emoji need; they carry no text."""
_UNSEEN = frozenset({"Cc", "Cf", "Cn", "Co", "Cs"})
_PLAIN = re.compile(r"[\n\t -~\u00a1-\u00ac\u00ae-\u02ff]*")
_SELECTORS = re.compile("[\ufe00-\ufe0f]{2,}|[\U000e0100-\U000e01ef]+")
_JOINED = re.compile("[\u200c\u200d]{2,}")
_TEMPLATE = re.compile(r"<(?=\|)|<(?=/?(?:s|bos|eos|pad|unk|start_of_turn|end_of_turn)>)|<(?=</?SYS>>)|\[(?=/?INST\])")


def inert(text: str) -> str:
    r"""``text`` without characters that nobody sees, and with a space in the control words of chat templates.

    Line ends become ``\n``. What a reader sees stays as it is; so does text in any script.
    """
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if not _PLAIN.fullmatch(text):
        text = _SELECTORS.sub("", text)
        text = _JOINED.sub("", "".join(filter(_is_seen, text)))
    return _TEMPLATE.sub(lambda found: f"{found[0]} ", text)


def _is_seen(character: str) -> bool:
    return character in "\n\t" or character in _JOINERS or unicodedata.category(character) not in _UNSEEN

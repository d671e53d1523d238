"""The FAQ that the settings name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from holdfast.rag.faq.matching import Faq

if TYPE_CHECKING:
    from holdfast.rag.settings import Settings

__all__ = ["FAQ_FILE", "configured_faq"]

FAQ_FILE = "faq.toml"
"""The file that is read when it is in ``data_dir`` and no other is named."""


def configured_faq(settings: Settings) -> Faq | None:
    """The FAQ of the file ``faq_file``, else of ``faq.toml`` in ``data_dir`` where there is one. Blocks while it reads.

    Raises:
        ConfigError: the file that was named is not there, or something in it is wrong.
    """
    if settings.faq_file is not None:
        return Faq.load(settings.faq_file)
    usual = settings.data_dir / FAQ_FILE
    return Faq.load(usual) if usual.exists() else None

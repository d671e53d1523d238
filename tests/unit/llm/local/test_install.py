"""The whole step: from sources to a finished folder, with everything that can go wrong on the way."""

from __future__ import annotations

import asyncio
import dataclasses
import errno
import json
import threading
from typing import TYPE_CHECKING

import pytest

from holdfast.core.blocking import ThreadBlocking
from holdfast.errors import ModelUnavailableError
from holdfast.llm.local import build, install
from holdfast.llm.local.fetch import LocalSource, Progress, SourceUnavailableError
from holdfast.llm.local.install import install_from, install_model
from holdfast.llm.local.installed import read_installed
from holdfast.llm.local.lock import file_lock
from holdfast.testing.blocking import InlineBlocking
from holdfast.testing.clock import FakeClock

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from holdfast.core.ports import HttpRequest, HttpResponse
    from holdfast.llm.local.manifest import LocalModel


class Watch:
    """Keeps the stages it is told."""

    def __init__(self) -> None:
        self.stages: list[str] = []

    def __call__(self, stage: str, done: int, total: int | None) -> None:
        self.stages.append(stage)


class Given:
    """A source that gives what it was given, or raises it; may run something first."""

    def __init__(
        self, contents: Mapping[str, bytes] | Exception, *, before: Callable[[], object] | None = None
    ) -> None:
        self.reads = 0
        self._contents, self._before = contents, before

    async def read(self, model: LocalModel, work: Path, progress: Progress) -> Mapping[str, bytes]:
        self.reads += 1
        await asyncio.sleep(0)  # as a real source, let others run
        if self._before:
            self._before()
        if isinstance(self._contents, Exception):
            raise self._contents
        return self._contents


class Killed(BaseException):
    """Ends a build as a signal does: no handler of errors sees it."""


def tree(folder: Path) -> list[str]:
    """What stands in a folder, locks left out."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.suffix != ".lock")


def size_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir())


def exists(path: Path) -> bool:
    return path.exists()


FINISHED = ["model", "model/model.int8.onnx", "model/model.json", "model/tokenizer.json"]


@pytest.fixture
def target(tmp_path: Path) -> Path:
    """Where the model is to go; its parents are not there yet."""
    return tmp_path / "cache" / "model"


async def test_a_finished_folder_holds_the_model_and_nothing_else(
    target: Path, tiny_model: LocalModel, tiny_contents: dict[str, bytes]
) -> None:
    """Graph, tokenizer and description are there; weights, work folder and downloads are not."""
    watch = Watch()
    done = await install_from(
        [Given(tiny_contents)], target, tiny_model, blocking=InlineBlocking(), progress=watch, clock=FakeClock()
    )
    assert tree(target.parent) == FINISHED
    assert (done.directory, done.embedder_id, done.dimension, done.fresh) == (target, "local:tiny:int8:1", 32, True)
    assert done.size == size_of(target)
    assert watch.stages == ["verify", "build", "done"]


async def test_description_says_what_was_built_from_what(
    target: Path, tiny_model: LocalModel, tiny_contents: dict[str, bytes]
) -> None:
    """The description holds the model, its licence, the hashes of sources and files, and the versions of the tools."""
    await install_from([Given(tiny_contents)], target, tiny_model, blocking=InlineBlocking(), progress=Watch())
    described = json.loads((target / "model.json").read_text())
    assert described["licence"] == "none"
    assert described["sources"]["model.safetensors"] == tiny_model.weights.sha256
    assert set(described["files"]) == {"model.int8.onnx", "tokenizer.json"}
    assert described["files"]["tokenizer.json"]["sha256"] == tiny_model.tokenizer.sha256
    assert set(described["built_with"]) == {"holdfast", "numpy", "onnx", "onnxruntime", "safetensors"}


async def test_the_second_installation_only_verifies(
    target: Path, tiny_model: LocalModel, tiny_contents: dict[str, bytes]
) -> None:
    """With a whole model in place no source is asked and no stage reported."""
    await install_from([Given(tiny_contents)], target, tiny_model, blocking=InlineBlocking(), progress=Watch())
    watch, source = Watch(), Given(RuntimeError("must not be asked"))
    again = await install_from([source], target, tiny_model, blocking=InlineBlocking(), progress=watch)
    assert not again.fresh
    assert watch.stages == []
    assert source.reads == 0


@pytest.mark.parametrize("name", ["model.int8.onnx", "tokenizer.json", "model.json"])
@pytest.mark.parametrize("damage", ["changed", "missing"])
async def test_a_damaged_model_is_replaced(
    target: Path, tiny_model: LocalModel, tiny_contents: dict[str, bytes], name: str, damage: str
) -> None:
    """A file that is missing or changed makes the next installation build the folder anew."""
    await install_from([Given(tiny_contents)], target, tiny_model, blocking=InlineBlocking(), progress=Watch())
    if damage == "missing":
        (target / name).unlink()
    else:
        (target / name).write_bytes(b"{}")
    with pytest.raises(ModelUnavailableError, match="holdfast model"):
        read_installed(target, tiny_model)
    again = await install_from([Given(tiny_contents)], target, tiny_model, blocking=InlineBlocking(), progress=Watch())
    assert again.fresh
    assert read_installed(target, tiny_model).tokenizer == tiny_contents["tokenizer.json"]
    assert tree(target.parent) == FINISHED


async def test_the_next_source_is_tried(target: Path, tiny_model: LocalModel, tiny_contents: dict[str, bytes]) -> None:
    """A source that is unavailable is passed over."""
    first, second = Given(SourceUnavailableError("hub.test: no network")), Given(tiny_contents)
    done = await install_from([first, second], target, tiny_model, blocking=InlineBlocking(), progress=Watch())
    assert done.fresh
    assert (first.reads, second.reads) == (1, 1)


async def test_when_no_source_has_it_all_reasons_are_told(target: Path, tiny_model: LocalModel) -> None:
    """The error holds every source's reason and the way without network."""
    sources = [Given(SourceUnavailableError("hub.test: no network")), Given(SourceUnavailableError("pip: no index."))]
    with pytest.raises(ModelUnavailableError) as caught:
        await install_from(sources, target, tiny_model, blocking=InlineBlocking(), progress=Watch())
    message = str(caught.value)
    assert "hub.test: no network; pip: no index. " in message
    assert "copy tokenizer.json and model.safetensors there and run `holdfast model --from PATH`" in message
    assert not exists(target)


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json"])
async def test_a_wrong_hash_stops_the_installation(
    target: Path, tiny_model: LocalModel, tiny_contents: dict[str, bytes], name: str
) -> None:
    """A file that is not the published one is an error, no other source is asked, and nothing is kept."""
    wrong = {**tiny_contents, name: tiny_contents[name][:-1] + b"!"}
    second = Given(tiny_contents)
    with pytest.raises(ModelUnavailableError, match=rf"{name} is not the published file: expected SHA-256 \w+, found"):
        await install_from([Given(wrong), second], target, tiny_model, blocking=InlineBlocking(), progress=Watch())
    assert second.reads == 0
    assert tree(target.parent) == []


async def test_a_build_that_dies_leaves_no_model(
    target: Path, tiny_model: LocalModel, tiny_contents: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until every file is written nothing stands at the target, and the next installation starts clean."""

    def dies(model: LocalModel, contents: Mapping[str, bytes], into: Path) -> None:
        build.build_model(model, contents, into)
        assert not target.exists()
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(install, "build_model", dies)
        with pytest.raises(Killed):
            await install_from([Given(tiny_contents)], target, tiny_model, blocking=InlineBlocking(), progress=Watch())
    assert not exists(target)
    await install_from([Given(tiny_contents)], target, tiny_model, blocking=InlineBlocking(), progress=Watch())
    assert tree(target.parent) == FINISHED


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        (errno.ENOSPC, "is full"),
        (errno.EACCES, "cannot be written"),
        (errno.EROFS, "HOLDFAST_MODEL_DIR"),
        (errno.EIO, "cannot be installed"),
    ],
)
async def test_a_disk_that_refuses_is_explained(
    target: Path, tiny_model: LocalModel, tiny_contents: dict[str, bytes], code: int, sentence: str
) -> None:
    """A full disk, a read-only folder and a broken disk each have a sentence."""

    def fail() -> None:
        raise OSError(code, "as the system says")

    source = Given(tiny_contents, before=fail)
    with pytest.raises(ModelUnavailableError, match=sentence):
        await install_from([source], target, tiny_model, blocking=InlineBlocking(), progress=Watch())
    assert not exists(target)


async def test_a_file_in_the_way_is_explained(tmp_path: Path, tiny_model: LocalModel) -> None:
    """If a parent of the target is a file, that is said."""
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(ModelUnavailableError, match="cannot be installed in"):
        await install_from([], tmp_path / "cache" / "model", tiny_model, blocking=InlineBlocking(), progress=Watch())


async def test_weights_of_another_network_are_refused(
    target: Path, tiny_model: LocalModel, tiny_contents: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Verified files that hold no such network end in a sentence, not in a KeyError."""
    monkeypatch.setattr(install, "verify", lambda file, content: None)
    wrong = {**tiny_contents, "model.safetensors": b"not safetensors at all"}
    with pytest.raises(ModelUnavailableError, match=r"model\.safetensors does not hold the weights of tiny"):
        await install_from([Given(wrong)], target, tiny_model, blocking=InlineBlocking(), progress=Watch())


async def test_two_installations_at_once_build_once(
    target: Path, tiny_model: LocalModel, tiny_contents: dict[str, bytes]
) -> None:
    """The second waits for the first, says so, and finds its model."""
    sources, watches = [Given(tiny_contents), Given(tiny_contents)], [Watch(), Watch()]
    done = await asyncio.gather(
        *(
            install_from([source], target, tiny_model, blocking=InlineBlocking(), progress=watch, clock=FakeClock())
            for source, watch in zip(sources, watches, strict=True)
        )
    )
    assert sorted(one.fresh for one in done) == [False, True]
    assert sorted(source.reads for source in sources) == [0, 1]
    assert sorted(watch.stages for watch in watches) == [["verify", "build", "done"], ["wait"]]
    assert tree(target.parent) == FINISHED


def test_installations_in_several_threads_all_end_well(
    target: Path, tiny_model: LocalModel, tiny_contents: dict[str, bytes]
) -> None:
    """Event loops that know nothing of each other share one lock; all get the same whole model."""
    fresh: list[bool] = []

    async def one() -> None:
        source = Given(tiny_contents)
        done = await install_from([source], target, tiny_model, blocking=InlineBlocking(), progress=Watch())
        fresh.append(done.fresh)

    threads = [threading.Thread(target=asyncio.run, args=(one(),)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(fresh) == [False, False, False, True]
    assert tree(target.parent) == FINISHED


async def test_the_lock_is_given_back_on_failure(tmp_path: Path) -> None:
    """An error inside the lock frees it."""
    with pytest.raises(RuntimeError, match="inside"):
        async with file_lock(tmp_path / "l", blocking=InlineBlocking(), clock=FakeClock(), waiting=lambda: None):
            raise RuntimeError("inside")
    waited: list[bool] = []
    async with file_lock(
        tmp_path / "l", blocking=InlineBlocking(), clock=FakeClock(), waiting=lambda: waited.append(True)
    ):
        assert waited == []


async def test_a_named_source_is_the_only_source(target: Path, tmp_path: Path) -> None:
    """With --from nothing is sent over the network, even if the path has nothing."""

    class NoHttp:
        async def send(self, request: HttpRequest) -> HttpResponse:
            raise AssertionError("a request was sent")

        async def close(self) -> None:
            raise AssertionError("the port belongs to the caller")

    with pytest.raises(ModelUnavailableError, match="nowhere does not exist"):
        await install_model(
            target, http=NoHttp(), blocking=InlineBlocking(), progress=Watch(), source=tmp_path / "nowhere"
        )


async def test_a_tiny_model_installs_from_a_folder(
    target: Path, tmp_path: Path, tiny_model: LocalModel, tiny_contents: dict[str, bytes]
) -> None:
    """The local source and the builder work together; the user's own files stay as they are."""
    folder = tmp_path / "mine"
    folder.mkdir()
    for name, content in tiny_contents.items():
        (folder / name).write_bytes(content)
    blocking = InlineBlocking()
    await install_from(
        [LocalSource(folder, blocking=blocking)], target, tiny_model, blocking=blocking, progress=Watch()
    )
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == tiny_contents
    assert tree(target.parent) == FINISHED


async def test_a_cancelled_installation_holds_its_lock_to_the_end(
    target: Path, tiny_model: LocalModel, tiny_contents: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A build cannot be stopped: until its thread has ended nobody else may install, and then the model is whole."""
    begun, go_on = threading.Event(), threading.Event()

    def waits(model: LocalModel, contents: Mapping[str, bytes], into: Path) -> None:
        begun.set()
        go_on.wait(10)
        build.build_model(model, contents, into)

    monkeypatch.setattr(install, "build_model", waits)
    blocking = ThreadBlocking(max_workers=2)
    first = asyncio.ensure_future(
        install_from([Given(tiny_contents)], target, tiny_model, blocking=blocking, progress=Watch())
    )
    await blocking.run("wait", begun.wait, 10)
    first.cancel()
    watch = Watch()
    second = asyncio.ensure_future(
        install_from([Given(tiny_contents)], target, tiny_model, blocking=InlineBlocking(), progress=watch)
    )
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert watch.stages == ["wait"]
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await first
    assert not (await second).fresh
    await blocking.close()


async def test_a_graph_that_does_not_run_here_is_not_installed(
    target: Path, tiny_model: LocalModel, tiny_contents: dict[str, bytes]
) -> None:
    """The built graph is tried once before it is moved into place."""
    other = dataclasses.replace(tiny_model, dimension=33)
    with pytest.raises(ModelUnavailableError, match="does not give unit vectors of 33 numbers"):
        await install_from([Given(tiny_contents)], target, other, blocking=InlineBlocking(), progress=Watch())
    assert not exists(target)

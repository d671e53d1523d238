"""``holdfast simulate``: a model provider without a model, and with every fault that providers have."""

from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from holdfast.cli.output import note, print_result
from holdfast.errors import ConfigError

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Iterator, Mapping

    from holdfast.lab.simulator.calls import Call, Calls
    from holdfast.lab.simulator.options import SimulatorOptions
    from holdfast.lab.simulator.server import SimulatorServer

__all__ = ["simulate"]

_REFRESH_SECONDS = 0.25
_FLAGS = {"first_token": "--ttft", "first_token_sigma": "--ttft-sigma", "per_embedding": "--embedding", "keys": "--key"}
"""Options of the simulator whose flag has another name."""


def simulate(
    *,
    host: Annotated[str, typer.Option(metavar="ADDRESS", help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(metavar="PORT", min=0, max=65_535, help="The port to listen on; 0 takes any free one.")
    ] = 8089,
    model: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME[=TOKENS]",
            help="A model, with the size of its context; may be repeated. Without it every name is a model.",
            show_default=False,
        ),
    ] = None,
    key: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY",
            help="An API key that is taken; may be repeated. Without it every key is, and none.",
            show_default=False,
        ),
    ] = None,
    seed: Annotated[int, typer.Option(metavar="N", help="What latencies and faults are drawn from.")] = 0,
    speed: Annotated[float, typer.Option(metavar="FACTOR", help="Multiplies all latencies; 0 answers at once.")] = 1.0,
    ttft: Annotated[
        float, typer.Option("--ttft", metavar="SECONDS", help="Time to the first token: its median.")
    ] = 0.5,
    ttft_sigma: Annotated[
        float, typer.Option("--ttft-sigma", metavar="SIGMA", help="Its spread: the deviation of its logarithm.")
    ] = 0.9,
    per_token: Annotated[
        float, typer.Option("--per-token", metavar="SECONDS", help="Time for each further token: its median.")
    ] = 0.02,
    per_token_sigma: Annotated[float, typer.Option("--per-token-sigma", metavar="SIGMA", help="Its spread.")] = 0.3,
    embedding: Annotated[
        float, typer.Option(metavar="SECONDS", help="Time for a request for embeddings: its median.")
    ] = 0.1,
    requests_per_minute: Annotated[
        int | None, typer.Option("--requests-per-minute", metavar="N", help="A rate limit for each key.")
    ] = None,
    tokens_per_minute: Annotated[
        int | None, typer.Option("--tokens-per-minute", metavar="N", help="A rate limit for each key.")
    ] = None,
    context_tokens: Annotated[
        int, typer.Option("--context-tokens", metavar="N", help="Tokens that a prompt and its answer may have.")
    ] = 128_000,
    dimension: Annotated[
        int | None, typer.Option(metavar="N", help="Numbers in a vector. [default: 1536, or as the model has]")
    ] = None,
    fault: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FAULT[:RATE][@FROM-TO]",
            help="A fault, e.g. rate_limited:0.02 or outage@10-40 (seconds); may be repeated. See the documentation.",
            show_default=False,
        ),
    ] = None,
    admin: Annotated[
        bool, typer.Option("--admin", help="Answer on /admin/faults and /admin/calls, to switch faults while it runs.")
    ] = False,
    admin_token: Annotated[
        str | None,
        typer.Option("--admin-token", metavar="TOKEN", help="What /admin/... wants as Authorization: Bearer TOKEN."),
    ] = None,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Write a line for each call.")] = False,
) -> None:
    """Simulate a model provider: OpenAI's, Anthropic's and Voyage's protocols, without a key.

    Answers come from the passages in the prompt and are always the same. Runs until Ctrl-C or SIGTERM.
    """
    import asyncio

    from holdfast.lab.simulator.fault_rules import parse_rule
    from holdfast.lab.simulator.options import SimulatorOptions, parse_model
    from holdfast.lab.simulator.server import SimulatorServer
    from holdfast.lab.simulator.service import Simulator

    with _named_by_flag():
        options = SimulatorOptions(
            models=[parse_model(each, field="--model") for each in model or ()],
            keys=key or (),
            seed=seed,
            speed=speed,
            first_token=ttft,
            first_token_sigma=ttft_sigma,
            per_token=per_token,
            per_token_sigma=per_token_sigma,
            per_embedding=embedding,
            requests_per_minute=requests_per_minute,
            tokens_per_minute=tokens_per_minute,
            context_tokens=context_tokens,
            dimension=dimension,
            faults=[parse_rule(each, field="--fault") for each in fault or ()],
            admin=admin,
            admin_token=admin_token,
        )
        server = SimulatorServer(Simulator(options), host=host, port=port)
        asyncio.run(_serve(server, verbose=verbose))
    note(_counted(server.simulator.calls.counts()))


@contextmanager
def _named_by_flag() -> "Iterator[None]":
    try:
        yield
    except ConfigError as error:
        if error.field.startswith("--"):
            raise
        flag = _FLAGS.get(error.field, "--" + error.field.replace("_", "-"))
        raise ConfigError(flag, error.value, error.rule) from error


async def _serve(server: "SimulatorServer", *, verbose: bool) -> None:
    import asyncio
    import signal
    import sys

    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    if verbose:
        server.simulator.on_call = lambda call: note(_line(call))
    async with server:
        for line in _announcement(server.url, server.simulator.options):
            print_result(line)
        sys.stdout.flush()
        if sys.stderr.isatty() and not verbose:
            await _show(server.simulator.calls, stopped)
        else:
            await stopped.wait()


async def _show(calls: "Calls", stopped: "asyncio.Event") -> None:
    """Keep a line with the counts up to date until ``stopped`` is set."""
    import asyncio

    from rich.console import Console

    with Console(stderr=True).status(_counted(calls.counts())) as line:
        while not stopped.is_set():
            line.update(_counted(calls.counts()))
            try:
                await asyncio.wait_for(stopped.wait(), _REFRESH_SECONDS)
            except TimeoutError:
                continue


def _announcement(url: str, options: "SimulatorOptions") -> "Iterator[str]":
    yield f"A simulated model provider answers on {url}. Ctrl-C stops it."
    yield ""
    yield "  POST /v1/chat/completions   OpenAI chat, JSON and streamed"
    yield "  POST /v1/responses          OpenAI responses, JSON and streamed"
    yield "  POST /v1/embeddings         OpenAI embeddings; Voyage's for models named voyage..., and below /voyage/v1"
    yield "  POST /v1/messages           Anthropic messages, JSON and streamed"
    yield "  GET  /v1/models"
    if options.admin:
        yield "  GET, POST, DELETE /admin/faults; GET, DELETE /admin/calls"
    yield ""
    yield f"export OPENAI_BASE_URL={url}/v1 OPENAI_API_KEY={_key(options)}"
    yield f"export ANTHROPIC_BASE_URL={url} ANTHROPIC_API_KEY={_key(options)}"


def _key(options: "SimulatorOptions") -> str:
    return "YOUR_KEY" if options.keys else "simulated"


def _counted(counts: "Mapping[str, object]") -> str:
    faults = counts["faults"]
    played = sum(faults.values()) if isinstance(faults, dict) else 0
    return (
        f"{counts['calls']:,} calls, {counts['running']:,} under way, {played:,} with a fault, "
        f"{counts['cancelled']:,} given up by the client, {counts['sent_tokens']:,} tokens sent"
    )


def _line(call: "Call") -> str:
    parts = (
        f"#{call.number}",
        call.endpoint,
        call.model or "-",
        "stream" if call.stream else "",
        str(call.status or "no answer"),
        call.fault or "",
        f"{call.sent_tokens} tokens" if call.sent_tokens else "",
        f"{call.took or 0:.2f} s",
        "" if call.outcome.value == "completed" else call.outcome.value,
    )
    return " ".join(filter(None, parts))

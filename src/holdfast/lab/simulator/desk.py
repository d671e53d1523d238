"""From a request to the script of its response: checked, read, counted against the limits, answered, and timed."""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING

from holdfast.core.clock import NS_PER_SECOND, to_ns
from holdfast.lab.simulator import answers, model_lists
from holdfast.lab.simulator.anthropic_messages import AnthropicMessages
from holdfast.lab.simulator.draws import hex_of, lognormal
from holdfast.lab.simulator.embeddings_wire import OpenAIEmbeddings, VoyageEmbeddings
from holdfast.lab.simulator.failures import Failure, Problem
from holdfast.lab.simulator.fault_effects import ANSWER_EFFECTS, PROMPT_EFFECTS, SCRIPT_EFFECTS, VECTOR_EFFECTS
from holdfast.lab.simulator.fields import object_of
from holdfast.lab.simulator.limits import RateLimits
from holdfast.lab.simulator.openai_chat import OpenAIChat
from holdfast.lab.simulator.openai_responses import OpenAIResponses
from holdfast.lab.simulator.prompt import Embeddings, Stamp
from holdfast.lab.simulator.script import Kind, Script
from holdfast.lab.simulator.vectors import vector_of

if TYPE_CHECKING:
    from holdfast.core.clock import Clock
    from holdfast.lab.simulator.calls import Call
    from holdfast.lab.simulator.fault_plan import Played
    from holdfast.lab.simulator.fields import Body
    from holdfast.lab.simulator.options import SimulatorOptions
    from holdfast.lab.simulator.prompt import Prompt
    from holdfast.lab.simulator.request import Incoming
    from holdfast.lab.simulator.script import Piece

__all__ = ["Desk"]

_MESSAGES = AnthropicMessages()
_CHATS = {each.name: each for each in (OpenAIChat(), OpenAIResponses(), _MESSAGES)}
_OPENAI_CHAT = _CHATS["chat"]
_EMBEDDINGS = {"voyage": VoyageEmbeddings()}
_OPENAI_EMBEDDINGS = OpenAIEmbeddings()
_DEFAULT_MODELS = ("gpt-sim", "claude-sim", "text-embedding-sim", "voyage-sim")
_STREAM = {"content-type": "text/event-stream; charset=utf-8", "cache-control": "no-cache"}


class Desk:
    """Answers requests for which no fault takes the answer's place.

    Args:
        options: the provider's.
        clock: for the rate limits and for dates.
    """

    def __init__(self, options: SimulatorOptions, clock: Clock) -> None:
        self._options = options
        self._clock = clock
        self._limits = RateLimits(options.requests_per_minute, options.tokens_per_minute, clock)
        self._keys = [key.encode("utf-8", "replace") for key in options.keys]

    def answer(self, request: Incoming, call: Call, played: Played | None, request_id: str) -> Script:
        """The response.

        Args:
            call: gets the tokens.
            played: the fault that changes the answer, or how it is sent.

        Raises:
            Problem: the request is refused.
        """
        self._check(request)
        if request.endpoint == "models":
            script = Script.of_json(200, self._models(request))
        elif request.endpoint == "count_tokens":
            prompt = _MESSAGES.read(_body(request), counting=True)
            script = Script.of_json(200, {"input_tokens": answers.prompt_tokens(prompt)})
        elif request.endpoint == "embeddings":
            script = self._embed(request, call, played)
        else:
            script = self._chat(request, call, played)
        if played is not None and (effect := SCRIPT_EFFECTS.get(played.fault)):
            endpoint = _CHATS.get(request.endpoint, _OPENAI_CHAT)
            effect(script, played.parameters, lambda problem, sent: endpoint.error_event(problem, request_id, sent))
        return script

    def _check(self, request: Incoming) -> None:
        if self._keys:
            given = (request.key or "").encode("utf-8", "replace")
            if not any([hmac.compare_digest(given, key) for key in self._keys]):  # noqa: C419 - all of them, always
                raise Problem(Failure.AUTH, None if request.key else "You didn't provide an API key.")
        if request.endpoint == "unknown":
            raise Problem(Failure.NOT_FOUND, f"Unknown request URL: {request.method} {request.path}.")
        if request.method != ("GET" if request.endpoint == "models" else "POST"):
            raise Problem(Failure.METHOD, f"Not allowed to {request.method} on {request.path}.")
        if len(request.content) > self._options.body_bytes:
            raise Problem(Failure.TOO_LARGE, f"The body is longer than {self._options.body_bytes} bytes.")
        if request.provider == "anthropic" and "anthropic-version" not in request.headers:
            raise Problem(Failure.INVALID, "header is required", param="anthropic-version")

    def _known(self, name: str) -> None:
        names = self._options.names
        if names and name not in names:
            known = ", ".join(names)
            raise Problem(
                Failure.NO_MODEL,
                f"The model `{name[:200]}` does not exist or you do not have access to it. There are: {known}.",
                param="model",
            )

    def _models(self, request: Incoming) -> dict[str, object]:
        anthropic = request.provider == "anthropic"
        name = request.path.removeprefix("/models").removeprefix("/")
        if name:
            self._known(name)
            return model_lists.anthropic_model(name) if anthropic else model_lists.openai_model(name)
        names = self._options.names or list(_DEFAULT_MODELS)
        return model_lists.anthropic_list(names) if anthropic else model_lists.openai_list(names)

    # --- embeddings ---------------------------------------------------------------------------------------------------

    def _embed(self, request: Incoming, call: Call, played: Played | None) -> Script:
        endpoint = _EMBEDDINGS.get(request.provider, _OPENAI_EMBEDDINGS)
        asked = endpoint.read(_body(request))
        self._known(asked.model)
        headers = self._limits.take(call.key, asked.tokens, request.provider)
        call.prompt_tokens = asked.tokens
        dimension = asked.dimension or self._options.dimension_of(asked.model)
        given = Embeddings(
            vectors=[vector_of(text, dimension) for text in asked.texts], tokens=asked.tokens, base64=asked.base64
        )
        if played is not None and (effect := VECTOR_EFFECTS.get(played.fault)):
            given = effect(given, played.parameters)
        script = Script.of_json(200, endpoint.whole(given, self._stamp(call, asked.model)), headers)
        script.head_wait_ns = self._draw(
            call, "embedding", self._options.per_embedding, self._options.first_token_sigma
        )
        return script

    # --- chats --------------------------------------------------------------------------------------------------------

    def _chat(self, request: Incoming, call: Call, played: Played | None) -> Script:
        endpoint = _CHATS[request.endpoint]
        prompt = endpoint.read(_body(request))
        self._known(prompt.model)
        read: int | None = self._fits(prompt)
        if played is not None and (overlook := PROMPT_EFFECTS.get(played.fault)):
            prompt, read = overlook(prompt), None
        answer = answers.answer(prompt, read)
        headers = self._limits.take(call.key, answer.prompt_tokens + answer.completion_tokens, request.provider)
        call.prompt_tokens = answer.prompt_tokens
        if played is not None and (effect := ANSWER_EFFECTS.get(played.fault)):
            answer = effect(answer, played.parameters)
        stamp = self._stamp(call, prompt.model)
        if not prompt.stream:
            script = Script.of_json(200, endpoint.whole(prompt, answer, stamp), headers)
            script.tokens = len(answer.tokens)
            script.head_wait_ns = sum(self._waits(call, max(1, script.tokens)))
            return script
        script = Script(200, {**_STREAM, **headers}, endpoint.pieces(prompt, answer, stamp))
        self._pace(script.pieces, call, script)
        return script

    def _fits(self, prompt: Prompt) -> int:
        """The tokens of a prompt that the model can read."""
        context, read = self._options.context_of(prompt.model), answers.prompt_tokens(prompt)
        if read + (prompt.max_tokens or 1) <= context:
            return read
        wanted = "" if prompt.max_tokens is None else f" and {prompt.max_tokens} for the answer"
        raise Problem(
            Failure.CONTEXT,
            f"prompt is too long: this model's maximum context length is {context} tokens, but {read} are in the "
            f"messages{wanted}.",
            param="messages",
        )

    # --- time ---------------------------------------------------------------------------------------------------------

    def _pace(self, pieces: list[Piece], call: Call, script: Script) -> None:
        timed = [piece for piece in pieces if piece.kind is Kind.TOKEN]
        first, *others = self._waits(call, max(1, len(timed)))
        script.head_wait_ns = first // 2
        pieces[0].wait_ns = first - first // 2
        for piece, wait in zip(timed[1:], others, strict=True):
            piece.wait_ns = wait

    def _waits(self, call: Call, count: int) -> list[int]:
        """The waits before each of ``count`` tokens."""
        options = self._options
        first = self._draw(call, "first", options.first_token, options.first_token_sigma)
        if not options.per_token_sigma or not options.per_token * options.speed:
            return [first] + [to_ns(options.per_token * options.speed)] * (count - 1)
        return [first] + [
            self._draw(call, place, options.per_token, options.per_token_sigma) for place in range(1, count)
        ]

    def _draw(self, call: Call, what: object, median: float, sigma: float) -> int:
        median *= self._options.speed
        return to_ns(lognormal(median, sigma, self._options.seed, "wait", call.drawn, what)) if median else 0

    def _stamp(self, call: Call, model: str) -> Stamp:
        created = self._clock.wall_ns() // NS_PER_SECOND
        return Stamp(hex_of(24, self._options.seed, "answer", call.number), created, model)


def _body(request: Incoming) -> Body:
    """The JSON object of a request.

    Raises:
        Problem: there is none.
    """
    return object_of(request.content) if request.body is None else request.body

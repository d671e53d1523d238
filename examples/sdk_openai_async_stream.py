"""OpenAI's SDK, async and streamed, with a second provider behind it.

    OPENAI_API_KEY=... BACKUP_URL=https://openrouter.ai/api/v1 BACKUP_KEY=... python examples/sdk_openai_async_stream.py

Needs `pip install holdfast openai`. Without keys: `holdfast simulate`, and OPENAI_BASE_URL=http://127.0.0.1:8089/v1.
"""

import asyncio
import os

from openai import AsyncOpenAI

import holdfast


async def main() -> None:
    """Print an answer as it comes. If it breaks off, the loop raises; it never just ends."""
    backup = AsyncOpenAI(base_url=os.environ["BACKUP_URL"], api_key=os.environ["BACKUP_KEY"])
    async with holdfast.wrap(AsyncOpenAI(), fallbacks=[backup]) as client:
        question = "Which city is the capital of France?"
        stream = await client.chat.completions.create(
            model="gpt-4o-mini", messages=[{"role": "user", "content": question}], stream=True
        )
        async for chunk in stream:
            print(chunk.choices[0].delta.content or "" if chunk.choices else "", end="")
        print("\ncalls:", [(each.provider, each.calls) for each in holdfast.wrapped(client).snapshot()])


asyncio.run(main())

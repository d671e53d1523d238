"""Anthropic's SDK with a second account behind it.

    ANTHROPIC_API_KEY=... BACKUP_URL=https://api.anthropic.com BACKUP_KEY=... python examples/sdk_anthropic.py

Needs `pip install holdfast anthropic`. Without keys: `holdfast simulate`, and ANTHROPIC_BASE_URL=http://127.0.0.1:8089.
"""

import os

from anthropic import Anthropic

import holdfast

backup = Anthropic(base_url=os.environ["BACKUP_URL"].removesuffix("/v1"), api_key=os.environ["BACKUP_KEY"])
client = holdfast.wrap(Anthropic(), fallbacks=[backup])

question = "Which city is the capital of France?"
with client.messages.stream(
    model="claude-sonnet-4-5", max_tokens=200, messages=[{"role": "user", "content": question}]
) as stream:
    for text in stream.text_stream:
        print(text, end="")
print("\ncalls:", [(each.provider, each.calls) for each in holdfast.wrapped(client).snapshot()])

"""OpenAI's SDK with a second provider behind it.

    OPENAI_API_KEY=... BACKUP_URL=https://openrouter.ai/api/v1 BACKUP_KEY=... python examples/sdk_openai.py

Needs `pip install holdfast openai`. Without keys: `holdfast simulate`, and OPENAI_BASE_URL=http://127.0.0.1:8089/v1.
"""

import os

from openai import OpenAI

import holdfast

backup = OpenAI(base_url=os.environ["BACKUP_URL"], api_key=os.environ["BACKUP_KEY"])
client = holdfast.wrap(OpenAI(), fallbacks=[backup])

question = "Which city is the capital of France?"
answer = client.chat.completions.create(model="gpt-4o-mini", messages=[{"role": "user", "content": question}])
print(answer.choices[0].message.content)
print([(each.provider, each.calls, each.failures) for each in holdfast.wrapped(client).snapshot()])

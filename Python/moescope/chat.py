"""Puts conversations into a model's own format: renders its Jinja template in a sandbox.

    echo '{"template": "…", "messages": […], "bos_token": "<s>", "eos_token": "</s>"}' | python chat.py

`moescope generate --chat` runs this file as a script; from Python, `moescope.chat.render`. Templates see what
`transformers` gives them: `messages`, `add_generation_prompt`, `bos_token`, `eos_token`, `raise_exception`, `strftime_now`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from datetime import datetime
from typing import Any, NoReturn


def render(
    template: str,
    messages: Sequence[dict[str, str]],
    bos_token: str = "",
    eos_token: str = "",
    add_generation_prompt: bool = True,
) -> str:
    """The conversation as text, control tokens spelled out.

    :param messages: `{"role": "system" | "user" | "assistant", "content": text}` in order.
    :raises ValueError: where the template refuses the conversation or is none.
    :raises ImportError: without jinja2.
    """
    try:
        from jinja2 import TemplateError
        from jinja2.sandbox import ImmutableSandboxedEnvironment
    except ImportError as error:
        raise ImportError(
            "the model's chat template needs jinja2: pip install jinja2 in the active virtual environment "
            "(a checkout's: make demo, then . .venv/bin/activate)"
        ) from error

    def refuse(message: str) -> NoReturn:
        raise TemplateError(message)

    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"])
    environment.filters["tojson"] = _to_json
    environment.globals["raise_exception"] = refuse
    environment.globals["strftime_now"] = lambda form: datetime.now().strftime(form)
    try:
        return environment.from_string(template).render(
            messages=list(messages),
            bos_token=bos_token,
            eos_token=eos_token,
            add_generation_prompt=add_generation_prompt,
        )
    except TemplateError as error:
        raise ValueError(f"the model's chat template: {error}") from error


def _to_json(value: Any, indent: int | None = None) -> str:
    return json.dumps(value, ensure_ascii=False, indent=indent)


def _main() -> None:
    request = json.loads(sys.stdin.buffer.read())
    try:
        text = render(**request)
    except Exception as error:  # a template can fail in every way there is
        sys.exit(f"{error}")
    sys.stdout.buffer.write(text.encode("utf-8", "replace"))


if __name__ == "__main__":
    _main()

"""Puts conversations into a model's own format: renders its Jinja template in a sandbox.

    echo '{"template": "…", "messages": […], "special_tokens": [["bos_token", "<s>"]]}' | python chat.py

`moescope generate --chat` runs this file as a script; from Python, `moescope.chat.render`. Templates see what
`transformers` gives them: `messages`, `tools` and `documents` (None), `add_generation_prompt`, the special tokens that the
model has, `raise_exception`, `strftime_now`, and blocks marked `{% generation %}`.
"""

from __future__ import annotations

import json
import resource
import sys
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from jinja2.sandbox import ImmutableSandboxedEnvironment


def render(
    template: str,
    messages: Sequence[dict[str, Any]],
    bos_token: str | None = None,
    eos_token: str | None = None,
    add_generation_prompt: bool = True,
    *,
    tools: Sequence[dict[str, Any]] | None = None,
    documents: Sequence[dict[str, Any]] | None = None,
    **special_tokens: str,
) -> str:
    """The conversation as text, control tokens spelled out.

    :param messages: `{"role": "system" | "user" | "assistant", "content": text}` in order.
    :param bos_token: with `eos_token` and others by name (`pad_token=`): what spells them; None: the model has none.
    :raises ValueError: where the template refuses the conversation or is none.
    :raises ImportError: without jinja2.
    """
    try:
        from jinja2 import TemplateError
    except ImportError as error:
        raise ImportError(
            "the model's chat template needs jinja2: pip install jinja2 in the active virtual environment "
            "(a checkout's: make demo, then . .venv/bin/activate)"
        ) from error

    named = {"bos_token": bos_token, "eos_token": eos_token, **special_tokens}
    try:
        return _environment().from_string(template).render(
            messages=list(messages),
            tools=tools,
            documents=documents,
            add_generation_prompt=add_generation_prompt,
            **{name: token for name, token in named.items() if token is not None},
        )
    except TemplateError as error:
        raise ValueError(f"the model's chat template: {error}") from error


def _environment() -> ImmutableSandboxedEnvironment:
    from jinja2 import TemplateError, nodes
    from jinja2.ext import Extension
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    class Generation(Extension):
        """`{% generation %}`, which marks what the model itself wrote: here its text is only passed on."""

        tags = {"generation"}

        def parse(self, parser: Any) -> Any:
            line = next(parser.stream).lineno
            body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
            return nodes.CallBlock(self.call_method("_pass_on"), [], [], body).set_lineno(line)

        def _pass_on(self, caller: Any) -> str:
            return str(caller())

    def refuse(message: str) -> NoReturn:
        raise TemplateError(message)

    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, "jinja2.ext.loopcontrols"]
    )
    environment.filters["tojson"] = _to_json
    environment.globals["raise_exception"] = refuse
    environment.globals["strftime_now"] = lambda form: datetime.now().strftime(form)
    return environment


def _to_json(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


# What a template may take: it is a program from a stranger, and need not end.
_SECONDS = 10
_BYTES = 1280 << 20


def _main() -> None:
    resource.setrlimit(resource.RLIMIT_CPU, (_SECONDS, _SECONDS))
    resource.setrlimit(resource.RLIMIT_AS, (_BYTES, _BYTES))
    request = json.loads(sys.stdin.buffer.read())
    try:
        # Members of messages come as pairs: templates see their order.
        messages = [dict(message) for message in request["messages"]]
        text = render(request["template"], messages, **dict(request["special_tokens"]))
    except MemoryError:
        sys.exit(f"the model's chat template takes more than {_BYTES >> 20} MiB")
    except Exception as error:  # a template can fail in every way there is
        sys.exit(f"{error}")
    sys.stdout.buffer.write(text.encode("utf-8", "replace"))


if __name__ == "__main__":
    _main()

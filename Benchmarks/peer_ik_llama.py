#!/usr/bin/env python3
"""Measures ik_llama.cpp (of ik-llama-cpp-python) on one model with one setting, through its C API; prints JSON, as
peer_llama.py does.
"""

import json
from pathlib import Path

import ik_llama_cpp._ctypes_api as llama
from peer_speeds import decode, parser, speeds


class Engine:
    """A model and a context of ik_llama.cpp."""

    def __init__(self, path: Path, *, positions: int, threads: int, repack: bool, flash: bool) -> None:
        llama.llama_backend_init()
        options = llama.llama_model_default_params()
        options.repack_tensors = repack
        options.use_mmap = not repack
        model = llama.llama_model_load_from_file(str(path).encode(), options)
        if not model:
            raise SystemExit(f"error: ik_llama.cpp cannot load {path}")
        self.vocabulary = llama.llama_vocab_n_tokens(llama.llama_model_get_vocab(model))
        settings = llama.llama_context_default_params()
        settings.n_ctx = positions
        settings.n_batch = settings.n_ubatch = max(512, min(positions, 2048))
        settings.n_threads = settings.n_threads_batch = threads
        settings.flash_attn = flash
        self.context = llama.llama_init_from_model(model, settings)
        if not self.context:
            raise SystemExit(f"error: ik_llama.cpp cannot make a context of {positions} positions for {path}")

    def forget(self) -> None:
        llama.llama_kv_cache_clear(self.context)

    def read(self, tokens: list[int], position: int, *, all_logits: bool = False) -> None:
        decode(llama, self.context, tokens, position, all_logits=all_logits)


def main() -> None:
    arguments = parser(__doc__).parse_args()
    engine = Engine(
        arguments.model,
        positions=max(arguments.prefill, arguments.decode + 32),
        threads=arguments.threads,
        repack=bool(arguments.repack),
        flash=bool(arguments.flash),
    )
    print(json.dumps(speeds(engine, arguments.prefill, arguments.decode, arguments.repeat)))


if __name__ == "__main__":
    main()

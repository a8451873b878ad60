#!/usr/bin/env python3
"""Measures llama.cpp (of llama-cpp-python) on one model with one setting, through its C API; prints JSON.

Prefill computes every token's logits, decoding one token after the other. With --tokens, writes the logits of every
position instead: a .npy of [tokens, vocabulary] f32.
"""

import ctypes
import json
from pathlib import Path

import llama_cpp as llama
import numpy as np
from peer_speeds import decode, parser, speeds


class Engine:
    """A model and a context of llama.cpp."""

    def __init__(self, path: Path, *, positions: int, threads: int, repack: bool, flash: bool, f32_cache: bool) -> None:
        llama.llama_backend_init()
        self._quiet = llama.llama_log_callback(lambda level, text, data: None)
        llama.llama_log_set(self._quiet, ctypes.c_void_p(0))
        options = llama.llama_model_default_params()
        options.use_extra_bufts = repack
        self.model = llama.llama_model_load_from_file(str(path).encode(), options)
        if not self.model:
            raise SystemExit(f"error: llama.cpp cannot load {path}")
        self.vocabulary = llama.llama_vocab_n_tokens(llama.llama_model_get_vocab(self.model))
        settings = llama.llama_context_default_params()
        settings.n_ctx = positions
        settings.n_batch = settings.n_ubatch = max(512, min(positions, 2048))
        settings.n_threads = settings.n_threads_batch = threads
        settings.flash_attn_type = int(flash)
        if f32_cache:
            settings.type_k = settings.type_v = llama.GGML_TYPE_F32
        self.context = llama.llama_init_from_model(self.model, settings)
        if not self.context:
            raise SystemExit(f"error: llama.cpp cannot make a context of {positions} positions for {path}")

    def forget(self) -> None:
        llama.llama_memory_clear(llama.llama_get_memory(self.context), True)

    def read(self, tokens: list[int], position: int, *, all_logits: bool = False) -> None:
        decode(llama, self.context, tokens, position, all_logits=all_logits)

    def logits(self, row: int) -> np.ndarray:
        pointer = llama.llama_get_logits_ith(self.context, row)
        return np.ctypeslib.as_array(pointer, (self.vocabulary,)).copy()


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--tokens", type=Path, help="a JSON list of documents, each a list of tokens")
    options.add_argument("--logits", type=Path, help="where the logits of --tokens go")
    arguments = options.parse_args()

    documents = json.loads(arguments.tokens.read_text()) if arguments.tokens else []
    longest = max((len(document) for document in documents), default=0)
    engine = Engine(
        arguments.model,
        positions=max(longest, arguments.prefill, arguments.decode + 32),
        threads=arguments.threads,
        repack=bool(arguments.repack),
        flash=bool(arguments.flash) and not documents,
        f32_cache=bool(documents),
    )
    if not documents:
        print(json.dumps(speeds(engine, arguments.prefill, arguments.decode, arguments.repeat)))
        return
    rows = []
    for document in documents:
        engine.forget()
        engine.read(document, 0, all_logits=True)
        rows += [engine.logits(row) for row in range(len(document))]
    np.save(arguments.logits, np.stack(rows))
    print(json.dumps({"rows": len(rows)}))


if __name__ == "__main__":
    main()

"""llama.cpp's own converter on a folder whose vocabulary is not a published one.

    python convert.py LLAMA_CPP FOLDER OUTPUT.gguf PRE

LLAMA_CPP: the sources of llama.cpp (vendor/llama.cpp of llama-cpp-python's sdist). The converter knows how a family cuts text into
words by a hash of its real vocabulary; here PRE says it.
"""

from __future__ import annotations

import sys
from pathlib import Path


def main() -> None:
    sources, folder, output, pre = sys.argv[1:]
    sys.path[:0] = [sources, str(Path(sources) / "gguf-py")]
    sys.argv = ["convert_hf_to_gguf.py", folder, "--outfile", output, "--outtype", "f32"]
    import convert_hf_to_gguf
    from conversion.base import TextModel

    TextModel.get_vocab_base_pre = lambda self, tokenizer: pre
    convert_hf_to_gguf.main()


main()

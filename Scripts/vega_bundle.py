"""Writes the JavaScript that draws a report's figures: Vega, Vega-Lite and vega-embed as one script without imports.

    python Scripts/vega_bundle.py FILE

It comes out of the pinned vl-convert-python (BSD 3-Clause, as are Vega, Vega-Lite and vega-embed), so no network is
asked and every machine gets the same bytes.
"""

import os
import sys
from importlib.metadata import version

import vl_convert


def main() -> None:
    target = sys.argv[1]
    script = vl_convert.javascript_bundle()
    if "</script" in script.lower():
        sys.exit("the bundle contains '</script', which would end the page's script element early")
    temporary = f"{target}.part"
    os.makedirs(os.path.dirname(target) or ".", exist_ok=True)
    with open(temporary, "w", encoding="utf-8", newline="\n") as file:
        file.write(f"/* vl-convert-python {version('vl-convert-python')}: Vega {vl_convert.get_vega_version()}, BSD-3-Clause */\n")
        file.write(script)
    os.replace(temporary, target)
    print(f"{target}: {os.path.getsize(target)} bytes")


main()

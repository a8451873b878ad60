"""The package's types hold under mypy --strict, from inside and for those who use it."""

import subprocess
import sys
import textwrap


def mypy(root, *arguments):
    return subprocess.run([sys.executable, "-m", "mypy", *arguments], cwd=root, capture_output=True, text=True)


def test_the_package_is_typed(root):
    done = mypy(root, "--strict", "--config-file", "pyproject.toml")
    assert done.returncode == 0, done.stdout


def test_code_that_uses_it_is_checked(root, tmp_path):
    good = tmp_path / "good.py"
    good.write_text(
        textwrap.dedent(
            """
            import moescope as ms

            model = ms.load("polyglot", precision="exact")
            run = model.run("x", capture=["router_logits"], interventions=[ms.ablate(layer=3, experts=[5])])
            changed = model.run("x", edit={"embed": lambda x: x * 0.9})
            value: float = run.nll - changed.nll
            trace = ms.trace(model, ["a", "b"], output="t", progress=True)
            table: ms.Table = ms.metrics.information(trace, by="group")
            """
        )
    )
    environment = ["--strict", "--config-file", "/dev/null"]
    done = subprocess.run(
        [sys.executable, "-m", "mypy", *environment, str(good)],
        cwd=tmp_path, capture_output=True, text=True, env={"MYPYPATH": str(root / "Python"), "PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    bad = tmp_path / "bad.py"
    bad.write_text("import moescope as ms\nms.load('polyglot', precision='quick')\nms.ablate(experts=[1], group='de')\n")
    done = subprocess.run(
        [sys.executable, "-m", "mypy", *environment, str(bad)],
        cwd=tmp_path, capture_output=True, text=True, env={"MYPYPATH": str(root / "Python"), "PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    assert done.stdout.count("error:") == 2, done.stdout

"""Runs SGLang's own recorder on a processor, over the routing of make.py, and writes what it dumps.

    pip download --no-deps sglang==0.5.23 && unzip sglang-0.5.23-*.whl -d FOLDER && pip install einops
    python Tests/Fixtures/records/sglang_recorder.py FOLDER          (beside torch; the parity environment has it)

sglang/srt/eplb/expert_distribution.py runs as it is. What it imports needs GPUs: settings, the forward batch and the collector of
metrics are stood in for by objects that hold the values a server would have.

sglang-recorder-tokens.pt: mode per_token. sglang-recorder-passes.pt: per_pass. sglang-recorder-stat.pt: stat.
"""

import importlib.util
import sys
import tempfile
import types
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).parent))
from make import EXPERTS, FOLDER, K, LAYERS, LENGTHS, ROUTED, routing  # noqa: E402

#: Expert 2 is there twice: physical experts 2 and 6.
PLACES = torch.cat([torch.arange(EXPERTS), torch.tensor([2])]).repeat(LAYERS, 1)


def recorder(folder: Path, settings: types.SimpleNamespace, dumps: Path) -> Any:
    """The module, with a server's settings."""

    def module(name: str, **values: Any) -> None:
        made = types.ModuleType(name)
        made.__dict__.update(values)
        sys.modules[name] = made

    directory = types.SimpleNamespace(get=lambda: str(dumps))
    module("sglang.srt.environ", envs=types.SimpleNamespace(SGLANG_EXPERT_DISTRIBUTION_RECORDER_DIR=directory))
    module("sglang.srt.model_executor.forward_batch_info", ForwardBatch=object, ForwardMode=object)
    module("sglang.srt.observability.metrics_collector", STAT_LOGGER_ROLE_EXPERT_DISPATCH="", ExpertDispatchCollector=object, resolve_collector_class=lambda *_: object)
    module(
        "sglang.srt.runtime_context", get_device=lambda: types.SimpleNamespace(device="cpu"), get_exec=lambda: settings, get_platform=lambda: types.SimpleNamespace(is_hip=False),
        get_schedule=lambda: types.SimpleNamespace(chunked_prefill_size=16), logs_expert_balancedness_to_server_log=lambda: False, reports_expert_balancedness=lambda: False,
    )  # fmt: skip
    module("sglang.srt.utils", Withable=type("Withable", (), {"__class_getitem__": classmethod(lambda cls, _: cls)}), get_device=lambda: "cpu", get_int_env_var=lambda name, default=0: default)
    spec = importlib.util.spec_from_file_location("recorder", folder / "sglang/srt/eplb/expert_distribution.py")
    assert spec is not None and spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    sys.modules["recorder"] = made
    spec.loader.exec_module(made)
    return made


def main() -> None:
    _, experts, tokens = routing()
    torch.get_device_module = lambda *_: types.SimpleNamespace(empty_cache=lambda: None)
    with tempfile.TemporaryDirectory() as temporary:
        torch.distributed.init_process_group("gloo", init_method=f"file://{temporary}/rendezvous", rank=0, world_size=1)
        for mode, name in (("per_token", "tokens"), ("per_pass", "passes"), ("stat", "stat")):
            dumps = Path(temporary) / mode
            moe = types.SimpleNamespace(
                expert_distribution_recorder_mode=mode, moe_a2a_backend="none", expert_distribution_recorder_buffer_size=3,
                eplb_min_rebalancing_utilization_threshold=1.0,
            )  # fmt: skip
            settings = types.SimpleNamespace(moe=moe, overlap=types.SimpleNamespace(enable_two_batch_overlap=False))
            module = recorder(Path(sys.argv[1]), settings, dumps)
            # Tokens go to expert 2 itself, so that physical and logical numbers agree, but for every third, which goes to its copy.
            location = types.SimpleNamespace(
                num_layers=LAYERS, num_physical_experts=EXPERTS + 1, num_logical_experts=EXPERTS, num_local_physical_experts=EXPERTS + 1,
                physical_to_logical_map=PLACES, ep_size=1,
            )  # fmt: skip
            gatherer = module._SinglePassGatherer.init_new(location, 0)
            accumulator = module._Accumulator.init_new(location, 0)
            start = 0
            for number, length in enumerate(LENGTHS):
                rows = slice(start, start + length)
                gatherer.reset()
                gatherer.on_forward_pass_start(
                    types.SimpleNamespace(
                        input_ids=torch.tensor(tokens[rows]), positions=torch.arange(length), extend_seq_lens_cpu=[length], forward_mode=types.SimpleNamespace(value=1)
                    )
                )
                for place, layer in enumerate(ROUTED):
                    ids = torch.from_numpy(experts[rows, place].astype("int32"))
                    copied = (ids == 2) & (torch.arange(length) % 3 == 0)[:, None]
                    gatherer.on_select_experts(layer, torch.where(copied, EXPERTS, ids))
                accumulator.append(number, "primary", gatherer.collect(), {})
                start += length
            accumulator.dump("file")
            (dumped,) = dumps.iterdir()
            (FOLDER / f"sglang-recorder-{name}.pt").write_bytes(dumped.read_bytes())
    assert K == experts.shape[2]


if __name__ == "__main__":
    main()

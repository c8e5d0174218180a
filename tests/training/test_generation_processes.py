"""Processes that sample together make the same number of forward passes, or the collectives inside would hang."""

import json
import subprocess
import sys
from pathlib import Path

TWO_PROCESSES = """
import json, sys, torch
from pathlib import Path
from transformers import GenerationConfig, Qwen2Config, Qwen2ForCausalLM
from indirect_rlvr import processes
from indirect_rlvr.training import generation
processes.join()
rank = processes.rank()
torch.manual_seed(0)
text = dict(vocab_size=40, hidden_size=32, intermediate_size=64, num_hidden_layers=1, num_attention_heads=4)
model = Qwen2ForCausalLM(Qwen2Config(**text, num_key_value_heads=2, bos_token_id=None)).eval()
inputs = generation.model_inputs([[9, 10], [11]], {}, 0)
new = (3, 9)[rank]
config = GenerationConfig(max_new_tokens=new, do_sample=False, pad_token_id=0, eos_token_id=39)
passes = []
model.register_forward_pre_hook(lambda *_: passes.append(1))
found = generation.sample_groups(model, inputs, [2, 2], config)
Path(sys.argv[1], str(rank)).write_text(json.dumps([rank, found.shape[1] - 2, len(passes)]))
processes.leave()
processes.end(SystemExit(0))  # as `rlvr` does, and for its reason
"""


def test_processes_that_end_early_keep_step_with_those_that_do_not(tmp_path: Path) -> None:
    script = tmp_path / "two.py"
    script.write_text(TWO_PROCESSES, encoding="utf-8")
    launch = [sys.executable, "-W", "ignore", "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    done = subprocess.run(
        [*launch, str(script), str(tmp_path)], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert [json.loads((tmp_path / rank).read_text()) for rank in "01"] == [[0, 3, 9], [1, 9, 9]]

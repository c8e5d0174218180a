"""`python -m indirect_rlvr …` is `rlvr …`: what launchers such as torchrun start."""

import os

from indirect_rlvr import processes
from indirect_rlvr.cli import app

if __name__ == "__main__":
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")  # before torch is there: DDP advises against what we want
    try:
        app(prog_name="rlvr")
    except SystemExit as ended:
        processes.end(ended)

"""`python -m indirect_rlvr …` is `rlvr …`: what launchers such as torchrun start."""

from indirect_rlvr import processes
from indirect_rlvr.cli import app

if __name__ == "__main__":
    try:
        app(prog_name="rlvr")
    except SystemExit as ended:
        processes.end(ended)

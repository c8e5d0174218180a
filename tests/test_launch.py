"""Starting several processes of a run: what is refused before anything starts, whose exit code counts, the script."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch.distributed.elastic.multiprocessing import ProcessFailure

from indirect_rlvr import launch
from indirect_rlvr.errors import ConfigError, RunError

PARTIAL = ("--until", "tasks", "--set", "records.patients=40", "--set", "tasks.train=20", "--set", "tasks.test=20")


def rlvr(*arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "indirect_rlvr", "run", "--domain", "template", *arguments]
    return subprocess.run(command, capture_output=True, text=True, env={**os.environ, **environment})


def test_a_mistake_is_said_once_and_nothing_starts(tmp_path: Path) -> None:
    done = rlvr("--nproc", "2", "--set", "tasks.trian=3", "--out", str(tmp_path / "run"))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("rlvr: `--set tasks.trian=3`: unknown key `tasks.trian`")
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_several_machines_need_a_script(tmp_path: Path) -> None:
    done = rlvr("--nproc", "2", "--nodes", "2", "--out", str(tmp_path / "run"))
    assert done.returncode == 2
    assert done.stderr == ("rlvr: --nodes 2 needs --emit slurm: rlvr itself starts processes on this machine only\n")


def test_a_launcher_within_a_launcher_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "8")
    with pytest.raises(ConfigError, match=r"--nproc 2 was given to one of the processes .* \(WORLD_SIZE is 8\); leave"):
        launch.require_possible(2)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_more_processes_than_gpus_are_refused(tmp_path: Path) -> None:
    gpus = torch.cuda.device_count()
    done = rlvr("--nproc", str(gpus + 1), "--out", str(tmp_path / "run"))
    assert done.returncode == 2
    assert f"asks for {gpus + 1} GPUs, one for each process, and this machine has {gpus}; give" in done.stderr
    assert not (tmp_path / "run").exists()


def failed(rank: int, code: int, after: int = 0) -> ProcessFailure:
    failure = ProcessFailure(rank, 1, code, "")
    failure.timestamp += after
    return failure


def test_the_exit_code_is_that_of_the_first_to_fail_and_not_of_those_that_were_told_to_end() -> None:
    assert launch._code({}, 2) == 0
    assert launch._code({1: failed(1, 2), 0: failed(0, -signal.SIGTERM)}, 2) == 2
    assert launch._code({1: failed(1, 2), 0: failed(0, -signal.SIGKILL, after=31)}, 2) == 2
    assert launch._code({0: failed(0, -signal.SIGTERM)}, 1) == 143


@pytest.mark.parametrize("codes", [(1, -9), (-9, 1)])
def test_a_killed_process_is_named_though_others_fail_of_it(codes: tuple[int, int]) -> None:
    with pytest.raises(RunError, match=f"process {codes.index(-9)} of 2 was ended by SIGKILL; if nobody did that"):
        launch._code({rank: failed(rank, code) for rank, code in enumerate(codes)}, 2)


def test_the_processes_are_not_told_what_is_for_the_launcher() -> None:
    given = ["run", "--nproc", "8", "-d", "geo", "--emit=slurm", "--set", "seed=1", "--nodes", "2", "--nproc=4"]
    assert launch.without_own(given) == ["run", "-d", "geo", "--set", "seed=1"]


def test_a_script_that_a_training_would_refuse_is_not_printed(tmp_path: Path) -> None:
    made = ("--set", "parallel.processes=8", "--emit", "slurm", "--out", str(tmp_path / "run"))
    done = rlvr("--nproc", "8", "--nodes", "2", *made)
    assert (done.returncode, done.stdout) == (2, "")
    assert "made for 8 processes (`parallel.processes`) and this run has 16" in done.stderr
    assert rlvr("--nproc", "4", "--nodes", "2", *made).returncode == 0
    assert rlvr(*made, "--until", "tasks").returncode == 0


def test_the_script_for_slurm_is_one_that_bash_reads_and_runs_this_command(tmp_path: Path) -> None:
    hostile = "it's $(touch hacked) `touch hacked` \"; touch hacked"
    done = rlvr("--nproc", "8", "--nodes", "4", "--emit", "slurm", "--out", hostile)
    assert done.returncode == 0, done.stderr
    script = tmp_path / "run.sbatch"
    script.write_text(done.stdout, encoding="utf-8")
    assert subprocess.run(["bash", "-n", str(script)], capture_output=True, text=True).stderr == ""
    for line in ("#SBATCH --nodes=4", "#SBATCH --gpus-per-node=8", "#SBATCH --signal=TERM@120", "#SBATCH --requeue"):
        assert line in done.stdout.splitlines()
    tools = tmp_path / "tools"
    tools.mkdir()
    for name, body in (("scontrol", "echo node-a; echo node-b"), ("srun", f'printf "%s\\n" "$@" > {tmp_path}/srun')):
        (tools / name).write_text(f"#!/bin/sh\n{body}\n", encoding="utf-8")
        (tools / name).chmod(0o755)
    known = {**os.environ, "PATH": f"{tools}:{os.environ['PATH']}", "SLURM_JOB_NODELIST": "node", "SLURM_JOB_ID": "7"}
    subprocess.run(["bash", str(script)], check=True, env=known)
    said = (tmp_path / "srun").read_text(encoding="utf-8").splitlines()
    assert said[said.index("-m") + 1] == "torch.distributed.run"
    assert {"--nnodes=4", "--nproc-per-node=8", "--rdzv-id=7", "--rdzv-endpoint=node-a:29500"} <= set(said)
    assert said[-6:] == ["indirect_rlvr", "run", "--domain", "template", "--out", hostile]
    assert not list(Path.cwd().glob("hacked"))


def test_two_processes_make_what_one_makes_and_find_it_finished(tmp_path: Path) -> None:
    alone, two = str(tmp_path / "alone"), str(tmp_path / "two")
    said = [rlvr("--out", alone, *PARTIAL), rlvr("--nproc", "2", "--out", two, *PARTIAL)]
    assert [each.returncode for each in said] == [0, 0], said
    assert [len(each.stdout.splitlines()) for each in said] == [4, 4]
    assert said[1].stderr == ""
    assert (tmp_path / "two" / "tasks.jsonl").read_bytes() == (tmp_path / "alone" / "tasks.jsonl").read_bytes()
    again = rlvr("--nproc", "2", "--out", two, *PARTIAL)
    assert [line.partition(": ")[2] for line in again.stdout.splitlines()] == ["finished before, skipped"] * 2

"""Two processes (DDP over gloo) train what one trains; what stops one stops both; resumed, they end in equal bytes."""

from pathlib import Path

import pytest
from launching import FAST, GRPO, SFT, Trainings, apart, lines, start
from stopped import contents

pytestmark = pytest.mark.slow
ILL = SFT | {"trl": {"learning_rate": 1e30}}
REFILLED = GRPO | {"curriculum": {"refill": 1}}


class Two(Trainings):
    """Of two processes, one of which is killed, asked to stop or ill, and of one alone."""

    def __init__(self, folder: Path, base: Path, records: Path) -> None:
        super().__init__(folder, base, records)
        self.killed = start([self.job("grpo", "killed", GRPO, does="kill", at=12)], 2, folder / "first")
        self.left = sorted(path.name for path in (folder / ".killed.partial").glob("checkpoint-*/complete.json"))
        jobs = {
            "sft": self.job("sft", "sft", SFT),
            "grpo": self.job("grpo", "grpo", GRPO),
            "killed": self.job("grpo", "killed", GRPO),
            "asked": self.job("grpo", "asked", GRPO, does="signal", at=10),
            "resumed": self.job("grpo", "asked", GRPO),
            "crashed": self.job("grpo", "crashed", GRPO, does="crash", at=10),
            "changed": self.job("grpo", "crashed", GRPO, identity="another"),
            "ill": self.job("sft", "ill", ILL),
            "uneven": self.job("grpo", "uneven", GRPO | {"prompts_per_step": 3}),
            "refilled": self.job("grpo", "refilled", REFILLED),
        }
        self.run(jobs, 2, "second")
        replayed = self.job("grpo", "alone/grpo", GRPO, replay=str(folder / "grpo" / "rollouts.jsonl"))
        self.run({"alone/sft": self.job("sft", "alone/sft", SFT), "alone/grpo": replayed}, 1, "third")


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory, vision_folder: Path, records_folder: Path) -> Two:
    return Two(tmp_path_factory.mktemp("two"), vision_folder, records_folder)


def test_prompts_that_cannot_be_dealt_out_evenly_are_refused_in_both(two: Two) -> None:
    for said in two.found["uneven"]:
        assert said["raised"] == "ConfigError"
        assert (
            "`grpo.prompts_per_step` is 3 on 2 processes; it must be a multiple of them, for example 2" in said["said"]
        )


def test_sampling_anew_is_refused_in_both(two: Two) -> None:
    for said in two.found["refilled"]:
        assert "`grpo.curriculum.refill` is 1 on 2 processes" in said["said"]


def test_what_the_first_process_refuses_is_refused_in_both(two: Two) -> None:
    for said in two.found["changed"]:
        assert said["raised"] == "ConfigError"
        assert "since then changed: recipe; with the change it starts anew" in said["said"]


def test_an_ill_training_ends_in_both_with_one_message(two: Two) -> None:
    first, second = two.found["ill"]
    assert first == second
    assert first["raised"] == "RunError"
    assert "is not finite at step" in first["said"]
    assert not (two.folder / ".ill.partial").exists()


def test_supervised_training_in_two_processes_is_that_of_one(two: Two) -> None:
    ours, alone = two.folder / "sft", two.folder / "alone" / "sft"
    assert apart(ours, alone, two.base) < 1e-4
    for one, other in zip(lines(ours, "log.jsonl"), lines(alone, "log.jsonl"), strict=True):
        assert one["num_tokens"] == other["num_tokens"]  # of the same traces at each step
        assert [one[key] for key in ("loss", "grad_norm")] == pytest.approx(
            [other[key] for key in ("loss", "grad_norm")], rel=1e-4
        )


def test_the_update_of_grpo_in_two_processes_is_that_of_one_with_the_same_rollouts(two: Two) -> None:
    ours, alone = two.folder / "grpo", two.folder / "alone" / "grpo"
    assert apart(ours, alone, two.base) < 1e-4
    for one, other in zip(lines(ours, "log.jsonl"), lines(alone, "log.jsonl"), strict=True):
        keys = ("loss", "grad_norm", "reward", "reward_std", "entropy", "num_tokens")
        assert [one[key] for key in keys] == pytest.approx([other[key] for key in keys], rel=1e-4, abs=1e-6)


def test_the_rollouts_of_both_processes_are_on_record_in_the_order_of_one(two: Two) -> None:
    ours, alone = (lines(two.folder / name, "rollouts.jsonl") for name in ("grpo", "alone/grpo"))
    assert len(ours) == 4 * 8
    assert len({tuple(line["token_ids"]) for line in ours[:8]}) > 4  # the processes draw other samples
    for one, other in zip(ours, alone, strict=True):
        assert [one[key] for key in ("step", "task_id", "text", "terms", "reward")] == [
            other[key] for key in ("step", "task_id", "text", "terms", "reward")
        ]
        assert one["advantage"] == pytest.approx(other["advantage"], rel=1e-5)


def test_both_processes_return_the_same_and_share_the_work(two: Two) -> None:
    for name in ("sft", "grpo", "killed", "resumed"):
        first, second = two.found[name]
        assert first == second
    assert two.found["grpo"][0]["rollouts"] == 32
    assert two.found["grpo"][0]["calls"] == 16
    assert two.found["grpo"][0]["shared_prefix"]["used"]


def test_a_killed_process_ends_the_other_and_what_is_resumed_ends_in_the_same_bytes(two: Two) -> None:
    assert two.killed.returncode != 0
    assert len(two.left) == 1
    assert two.found["killed"][0]["calls"] == 8  # from the checkpoint of step 2 on
    assert contents(two.folder / "killed") == contents(two.folder / "grpo")


def test_a_signal_to_one_process_stops_both_with_one_checkpoint(two: Two) -> None:
    assert [said["raised"] for said in two.found["asked"]] == ["Terminated", "Terminated"]
    assert two.found["resumed"][0]["calls"] == 4  # after the third step
    assert contents(two.folder / "asked") == contents(two.folder / "grpo")


def test_a_crash_in_both_leaves_the_last_checkpoint(two: Two) -> None:
    assert [said["raised"] for said in two.found["crashed"]] == ["KeyboardInterrupt", "KeyboardInterrupt"]
    folder = two.folder / ".crashed.partial"
    assert [path.parent.name for path in folder.glob("checkpoint-*/complete.json")] == ["checkpoint-2"]


def test_a_training_of_three_that_was_stopped_ends_in_the_same_bytes(
    tmp_path: Path, text_folder: Path, records_folder: Path
) -> None:
    """Sums over three depend on how DDP cuts gradients up, which two do not show."""
    three = Trainings(tmp_path, text_folder, records_folder, modality="text")
    thrifty = GRPO | {"prompts_per_step": 3, "trl": FAST | {"gradient_checkpointing": True}}
    jobs = {
        "grpo": three.job("grpo", "grpo", thrifty),
        "asked": three.job("grpo", "asked", thrifty, does="signal", at=6),
        "resumed": three.job("grpo", "asked", thrifty),
    }
    three.run(jobs, 3, "files")
    assert [said["raised"] for said in three.found["asked"]] == ["Terminated"] * 3
    assert three.found["resumed"][0]["calls"] == 8  # after the second step
    assert contents(tmp_path / "asked") == contents(tmp_path / "grpo")

from indirect_rlvr.evaluation.choice import choice_example
from indirect_rlvr.evaluation.prompt_controls import control
from indirect_rlvr.types import Prompt, View


def image(name):
    return View("photo", "image", f"{name}.png")


def example(name, *images, cluster="", task="", missing=()):
    prompt = Prompt(("Look:", *map(image, images), View("note", "text", "a note"), "?"))
    return choice_example(name, cluster or name, prompt, ("A", "B"), "A", task=task, missing=missing)


def shown(found):
    return {e.id: [p.content for p in e.prompt.parts if isinstance(p, View) and p.modality == "image"] for e in found}


MANY = [example(f"n{n}", f"i{n}", cluster=f"c{n // 2}") for n in range(20)]


def test_without_an_image_there_is_no_control():
    text = choice_example("t", "c", Prompt(("?",)), ("A", "B"), "A")
    lost = example("lost", "lost", missing=("lost.png",))
    for name in ("blind", "shuffled"):
        assert control(name, [text, lost], 0) == []


def test_blind_keeps_text_and_takes_every_image():
    (found,) = control("blind", [example("a", "one", "two")], 0)
    assert found.prompt == Prompt(("Look:", View("note", "text", "a note"), "?"))
    assert found.truth["answer"] == "A"


def test_shuffled_shows_images_of_another_cluster_in_the_same_places():
    clusters = {f"i{n}.png": f"c{n // 2}" for n in range(20)}
    for seed in range(10):
        found = control("shuffled", MANY, seed)
        assert [e.id for e in found] == [e.id for e in MANY]
        for each in found:
            assert clusters[shown([each])[each.id][0]] != each.cluster
            assert each.prompt.parts[0] == "Look:" and each.prompt.parts[2:] == MANY[0].prompt.parts[2:]
    assert control("shuffled", MANY, 0) == control("shuffled", MANY, 0) != control("shuffled", MANY, 1)


def test_shuffled_stays_within_the_sub_task_and_the_number_of_images():
    mixed = [example(f"a{n}", f"a{n}", task="a") for n in range(3)] + [
        example(f"b{n}", f"b{n}", f"bb{n}", task="b") for n in range(3)
    ]
    for name, contents in shown(control("shuffled", mixed, 0)).items():
        assert all(content[0] == name[0] for content in contents)
        assert len(contents) == (1 if name[0] == "a" else 2)


def test_shuffled_leaves_out_what_has_no_other_image():
    same = [example("a", "one"), example("b", "one"), example("c", "two", "three")]
    assert control("shuffled", same, 0) == []

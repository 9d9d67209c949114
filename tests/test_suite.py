"""Suites name their cells, files describe new ones, and unknown names are refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dynamics import suite
from dynamics.data import corpus
from dynamics.errors import InputError
from dynamics.training import nano

GRID = 'models = ["small", "large"]\nseeds = [0, 1]\nsteps = [2, 0, 1]\n'


def read(tmp_path, text: str) -> suite.Suite:
    path = tmp_path / "mine.toml"
    path.write_text(text)
    return suite.read(path)


def test_pythia_grid():
    pythia = suite.pythia()
    assert len(pythia.steps) == 154
    assert pythia.source("14m", 0, 512) == ("EleutherAI/pythia-14m", "step512")
    assert pythia.source("12b-deduped", 0, 1000) == ("EleutherAI/pythia-12b-deduped", "step1000")
    assert pythia.source("14m-deduped", 0, 0) == ("EleutherAI/pythia-14m-deduped", "step0")
    assert pythia.on_hub


def test_polypythia_grids():
    every = suite.polypythia()
    assert every.source("14m", 3, 143000) == ("EleutherAI/pythia-14m-seed3", "step143000")
    assert every.source("14m", 0, 0) == ("EleutherAI/pythia-14m", "step0")
    assert suite.polypythia_data().source("160m", 2, 1) == (
        "EleutherAI/pythia-160m-data-seed2",
        "step1",
    )
    assert suite.polypythia_weights().source("160m", 3, 1) == (
        "EleutherAI/pythia-160m-weight-seed3",
        "step1",
    )
    assert suite.polypythia_data().shared_start
    assert not suite.polypythia_weights().shared_start


def test_seeds_that_share_causes_are_of_one_kind_where_all_share_the_same():
    crossed = nano.suite("smoke-causes")
    assert crossed.causes is not None
    assert crossed.causes(5) == (1, 2)
    for seeds in ([0, 4, 8], [0, 1, 2], [2, 5, 8], [7]):  # nothing, initialisation, order, no pair
        assert crossed.select(seeds=seeds).of_one_kind()
    assert not crossed.of_one_kind()
    assert not crossed.select(seeds=[0, 1, 5]).of_one_kind()
    assert suite.polypythia_weights().of_one_kind()


def test_runs_of_both_kinds_stand_side_by_side_as_each_suite_has_them():
    both = suite.polypythia_causes()
    assert both.causes is not None
    for group, seeds in (
        (suite.polypythia_data(), (1, 2, 3)),
        (suite.polypythia_weights(), (4, 5, 6)),
    ):
        assert group.causes is not None
        for own, seed in zip(group.seeds, seeds, strict=True):
            assert both.source("160m", seed, 512) == group.source("160m", own, 512)
            assert both.causes(seed) == group.causes(own)
        assert both.select(seeds=seeds).of_one_kind()
    assert both.select(seeds=[1, 4]).of_one_kind()
    assert not both.of_one_kind()


def test_multibert_has_a_repository_for_every_checkpoint():
    bert = suite.multibert()
    assert bert.source("base", 4, 2_000_000) == ("google/multiberts-seed_4-step_2000k", "main")
    assert {0, 20_000, 200_000, 300_000} <= set(bert.steps)
    assert 220_000 not in bert.steps


@pytest.mark.parametrize(("kind", "wanted"), [("models", ["15m"]), ("seeds", [11]), ("steps", [3])])
def test_unknown_names_list_the_known(kind, wanted):
    with pytest.raises(InputError, match=f"unknown {kind[:-1]} of the suite polypythia") as caught:
        suite.polypythia().select(**{kind: wanted})
    assert "14m" in str(caught.value) or "0" in str(caught.value)


def test_select_keeps_the_suites_order():
    subset = suite.polypythia().select(models=["31m", "14m"], seeds=[5, 1], steps=[512, 0])
    assert (subset.models, subset.seeds, subset.steps) == (("14m", "31m"), (1, 5), (0, 512))


def test_a_part_of_a_suite_knows_where_its_runs_end():
    subset = suite.polypythia().select(steps=[0, 512])
    assert (max(subset.steps), subset.last_step) == (512, 143_000)
    assert subset.select(steps=[0]).last_step == suite.polypythia().last_step == 143_000


def test_cells_left_out_are_not_measured():
    subset = suite.polypythia().select(models=["14m"], seeds=[0, 1], steps=[0, 1])
    subset = subset.without([suite.Cell("14m", 1, 0)])
    assert list(subset.cells()) == [("14m", 0, 0), ("14m", 0, 1), ("14m", 1, 1)]
    assert subset.whole("14m", 1, subset.seeds)
    assert not subset.whole("14m", 0, subset.seeds)


def test_log_spaced_steps_double():
    assert suite.log_spaced([0, 1, 2, 3, 4, 5, 7, 8, 20, 30, 39, 41]) == (0, 1, 2, 4, 8, 20, 41)
    assert set(suite.PYTHIA_LOG_STEPS) <= set(suite.PYTHIA_STEPS)
    assert suite.pythia().default_steps == suite.PYTHIA_LOG_STEPS


def test_linear_steps_keep_both_ends():
    assert suite.linear(suite.PYTHIA_STEPS, 2) == (0, 143_000)
    subset = suite.linear(suite.PYTHIA_STEPS, 12)
    assert subset == tuple(13_000 * k for k in range(12))


@given(st.sets(st.integers(0, 10**6), min_size=1, max_size=60), st.integers(2, 20))
def test_subsets_are_subsets(steps, count):
    for subset in (suite.log_spaced(steps), suite.linear(steps, count)):
        assert set(subset) <= set(steps)
        assert min(subset) == min(steps)
    assert max(suite.linear(steps, count)) == max(steps)


def test_steps_are_chosen_by_words():
    subset = suite.choose(["log", "143000"], suite.PYTHIA_STEPS, suite.PYTHIA_LOG_STEPS)
    assert subset == (*suite.PYTHIA_LOG_STEPS, 143_000)
    assert suite.choose(["log"], range(10)) == (0, 1, 2, 4, 8)
    assert suite.choose(["all"], (0, 1)) == (0, 1)
    assert suite.choose(["linear:3"], range(11)) == (0, 5, 10)
    for word in ("logg", "linear", "linear:x", "linear:1", "-1", "1.5"):
        with pytest.raises(InputError, match="linear"):
            suite.choose([word], (0, 1))


def test_a_file_names_a_tree_of_folders(tmp_path):
    mine = read(tmp_path, GRID + 'folder = "runs/{model}/{seed}/{step}"\n')
    assert mine.name == "mine"
    assert mine.steps == (0, 1, 2)
    assert mine.source("large", 1, 2) == (str(tmp_path / "runs/large/1/2"), None)
    assert not mine.on_hub


def test_a_file_says_that_tasks_are_a_finite_set(tmp_path):
    path = tmp_path / "mine.toml"
    grid = 'models = ["a"]\nseeds = [0]\nsteps = [0]\nfolder = "{model}{seed}{step}"\n'
    path.write_text(grid + 'reads = "contexts"\nnum_tasks = 8\n')
    assert (suite.read(path).reads, suite.read(path).num_tasks) == ("contexts", 8)
    for wrong in ("num_tasks = 8", 'reads = "contexts"\nnum_tasks = 0'):
        path.write_text(grid + wrong + "\n")
        with pytest.raises(InputError, match="num_tasks"):
            suite.read(path)


def test_a_file_names_hub_ids(tmp_path):
    mine = read(
        tmp_path,
        'name = "other"\n' + GRID + 'repo = "me/{model}-s{seed}"\nrevision = "step{step}"\n',
    )
    assert mine.name == "other"
    assert mine.source("small", 1, 2) == ("me/small-s1", "step2")
    assert mine.on_hub
    mine = read(tmp_path, GRID + 'repo = "me/{model}-s{seed}-t{step:06}"\n')
    assert mine.source("small", 0, 2) == ("me/small-s0-t000002", "main")


def table(model: str, seed: int, step: int, place: str) -> str:
    return f'[[checkpoint]]\nmodel = "{model}"\nseed = {seed}\nstep = {step}\n{place}\n'


def test_a_file_lists_single_checkpoints(tmp_path):
    text = table("a", 0, 8, 'repo = "me/late"') + table("a", 0, 0, 'folder = "start"')
    mine = read(tmp_path, text)
    assert mine.steps == (0, 8)
    assert mine.source("a", 0, 0) == (str(tmp_path / "start"), None)
    assert mine.source("a", 0, 8) == ("me/late", "main")
    assert mine.on_hub
    assert not mine.select(steps=[0]).on_hub


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (GRID, "neither folder nor repo"),
        (GRID + 'folder = "a"\nrepo = "b/c"\n', "folder and repo"),
        (GRID + 'folder = "{modle}"\n', "unknown placeholder .*modle.*model"),
        (GRID + 'folder = "{model"\n', "pattern"),
        (GRID + 'folder = "{0}"\n', "placeholder"),
        (GRID + 'folder = "a"\nrevison = "b"\n', "unknown field .*revison.*Did you mean revision"),
        (GRID.replace("[0, 1]", '["0"]') + 'folder = "a"\n', "whole numbers"),
        (GRID.replace("[0, 1]", "[0, 0]") + 'folder = "a"\n', "each once"),
        ('folder = "a"\n', "models = None"),
        (
            GRID + 'repo = "me/{model}-{seed}"\n',
            "one place for 3 steps; expected a pattern with {step}",
        ),
        (GRID + 'folder = "{model}{seed}{step:999999999}"\n', "the format '999999999' of step"),
        (GRID + 'folder = "{model}{seed}{step:{seed}}"\n', "the format"),
        (GRID + 'folder = "{model.__class__}{seed}{step}"\n', "unknown placeholder"),
        (GRID.replace("[0, 1]", "[0, -1]") + 'folder = "a"\n', "0 or more"),
        (GRID.replace("[0, 1]", "[0, true]") + 'folder = "a"\n', "whole numbers"),
        (GRID.replace("[0, 1]", f"[0, {10**30}]") + 'folder = "a"\n', "whole numbers"),
        (GRID.replace("[0, 1]", "[]") + 'folder = "a"\n', "not empty"),
        (GRID.replace('"small"', '""') + 'folder = "a"\n', "list of names"),
        (
            'name = "../../x"\n' + GRID + 'folder = "{model}{seed}{step}"\n',
            "a name that a folder can have",
        ),
        (
            'name = ".."\n' + GRID + 'folder = "{model}{seed}{step}"\n',
            "a name that a folder can have",
        ),
        (f"steps = [{'9' * 5000}]\n", "not toml"),
        ("x = " + "[" * 100_000, "not toml"),
        (GRID + "folder = 3\n", "= 3; expected text"),
        (GRID + 'folder = "{model}{seed}{step}"\nshared_start = "yes"\n', "bool"),
        ("models = [", "not toml"),
        ("checkpoint = 3\n", "tables"),
        ("checkpoint = []\n", "at least one"),
        (table("a", 0, 0, 'repo = "b/c"') * 2, "twice"),
        (
            table("a", 0, 0, 'repo = "b/c"') + table("a", 1, 1, 'repo = "b/d"'),
            "without a seed 0 step 1",
        ),
        (table("a", 0, 0, 'rpo = "b/c"'), "unknown field"),
    ],
)
def test_a_faulty_file_is_refused_in_one_sentence(tmp_path, text, words):
    with pytest.raises(InputError, match=words):
        read(tmp_path, text)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        suite.read(tmp_path / "none.toml")


def test_a_suite_trained_on_another_text_is_another_suite():
    own = corpus.Corpus("two.jsonl.gz", (corpus.Document("a", "de", "ein Text"),))
    of_own, plain = nano.suite("smoke", own), nano.suite("smoke")
    assert (of_own.name, plain.name) == ("smoke-on-two", "smoke")
    cell = of_own.models[0], 0, 0
    assert of_own.source(*cell) != plain.source(*cell)
    assert nano.text("smoke", own) is own
    with pytest.raises(InputError, match=r"two.jsonl.gz to train truth on; expected none"):
        nano.suite("truth", own)

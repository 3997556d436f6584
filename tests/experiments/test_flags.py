"""Flags come from the dataclasses, presets lose against everything else, and what is written runs again."""

import dataclasses
import pathlib
import shlex

import numpy as np
import pytest
import tensorflow as tf
from absl import flags as absl_flags

from command_line import flag_files
from data_prep.registry import DATASETS
from experiments import flags
from lcn_tf.contracts import TableSpec, TowerSpec
from lcn_tf.models import registry
from lcn_tf.schema import CLICK, Label

CONFIGS = sorted(path.name for path in pathlib.Path(str(flags.CONFIGS)).glob("*.cfg"))
PRESETS = sorted(path.name for path in pathlib.Path(str(flags.CONFIGS / "data")).glob("*.cfg"))

# What `build` is given beside the configuration.
LABELS = (CLICK, Label("long_stay", given="click"))
FACTS = {"heads": (LABELS,), "towers": (TowerSpec(LABELS, 5),),
         "tables": (TableSpec("item", 5, 3, tf.keras.initializers.Zeros(), np.ones((5, 2))),)}


def parsed(arguments=""):
    flags.parse(["run", *shlex.split(arguments)])
    return flags.read()


@pytest.mark.parametrize("name", CONFIGS)
def test_every_cfg_can_be_read(name):
    assert parsed(f"--flagfile={name}").groups["model"]


def test_the_presets_of_the_paper():
    lcn = parsed("--flagfile=lcn_200_50.cfg")
    lap, crp = lcn.components[("long_term", "lap")], lcn.components[("objectives", "crp")]
    assert (lap.msa_top_k, lap.fsa_top_k, lap.attention_dim, crp.weight, crp.num_negatives) == (200, 50, 64, 0.1, 4096)
    assert lcn.components[("towers", "mlp")].units == (256, 128)
    assert lcn.groups["embeddings"].embedding_dim == 64 and lcn.groups["train"].learning_rate == 1e-3
    large = parsed("--flagfile=lcn_500_100.cfg").components[("long_term", "lap")]
    assert (large.msa_top_k, large.fsa_top_k) == (500, 100)
    assert parsed("--flagfile=lcn_without_crp.cfg").groups["model"].objectives == ()


def test_real_taobao_has_the_papers_budget():
    groups = parsed("--flagfile=lcn_200_50.cfg --input_dir=logs").groups
    assert (groups["train"].batch_size, groups["train"].epochs) == (2048, 1)
    assert (groups["data"].short_length, groups["data"].lifelong_length) == (24, 500)


def test_industrial_logs_have_the_papers_lengths():
    generated, given = (
        parsed(f"--flagfile=lcn_200_50.cfg --dataset=industrial {logs}") for logs in ("", "--input_dir=x"))
    for experiment in (generated, given):
        data = experiment.groups["data"]
        assert (data.short_length, data.lifelong_length) == (50, 2000)
        assert experiment.groups["prep"].exclude_recent
    assert (given.groups["train"].batch_size, given.groups["train"].epochs) == (2048, 1)
    assert given.components[("towers", "mlp")].units == (512, 256)
    sim = parsed("--flagfile=sim.cfg --dataset=industrial --input_dir=x").components[("long_term", "sim")]
    assert sim.aux_units == (512, 256)
    assert generated.groups["train"].batch_size < 2048


def test_every_data_set_has_its_presets():
    assert set(PRESETS) == {f"{name}.cfg" for name in DATASETS} | {
        f"{name}_generated.cfg" for name, entry in DATASETS.items() if entry.generator} | {"movielens_implicit.cfg"}


@pytest.mark.parametrize("name", ["industrial", "taobao"])
def test_the_preset_of_generated_logs_sets_all_that_the_other_sets(name):
    """With --data_dir it comes on top of the other, and is to make the same models as without."""
    texts = (pathlib.Path(str(flags.CONFIGS / "data" / f"{file}.cfg")).read_text(encoding="utf-8")
             for file in (name, f"{name}_generated"))
    real, generated = ({line.partition("=")[0] for line in text.splitlines() if line[:2] == "--"} for text in texts)
    assert real <= generated


def test_command_line_wins_over_flag_file_wins_over_preset(tmp_path):
    preset = parsed("--dataset=movielens --input_dir=x").groups["train"]
    (tmp_path / "mine.cfg").write_text(f"--train.batch_size={preset.batch_size + 1}\n--train.epochs=97\n")
    command = f"--dataset=movielens --input_dir=x --flagfile={tmp_path}/mine.cfg --train.epochs=98"
    train = parsed(command).groups["train"]
    assert (train.batch_size, train.epochs) == (preset.batch_size + 1, 98)


def test_values_do_not_linger_between_commands():
    assert parsed("--crp.weight=0.7").components[("objectives", "crp")].weight == 0.7
    assert parsed().components[("objectives", "crp")].weight == 0.1


def test_a_lifelong_model_named_as_a_short_encoder_has_flags_of_its_own():
    experiment = parsed("--model.long_term=din --lifelong_din.hidden_units=7 --din.hidden_units=5,3")
    assert experiment.components[("long_term", "din")].hidden_units == (7,)
    assert experiment.components[("short_term", "din")].hidden_units == (5, 3)
    assert {"--lifelong_din.hidden_units=7", "--din.hidden_units=5,3"} <= set(experiment.assignments())


def test_what_is_written_runs_again(tmp_path):
    before = parsed("--flagfile=lcn_200_50.cfg --lap.msa_top_k=none --crp.terms=pt,pc --tower.units=7,5 "
                    "--embeddings.exclude=user_id --workdir=w")
    (tmp_path / "flags.cfg").write_text("\n".join(before.assignments()))
    assert parsed(f"--flagfile={tmp_path}/flags.cfg") == before


def test_another_training_seed_draws_other_hashes_and_events():
    for name, draw in (("eta", "hash_seed"), ("sdim", "hash_seed"), ("random_k", "choice_seed")):
        one, other = (parsed(f"--flagfile={name}.cfg --train.seed={seed}") for seed in (1, 2))
        assert [getattr(found.components[("long_term", name)], draw) for found in (one, other)] == [1, 2]
        assert one.settings() == other.settings() and draw not in " ".join(one.assignments())
    for tower in ("mlp", "cross"):
        experiment = parsed(f"--model.tower={tower} --tower.dropout=0.3 --cross.input_dropout=0.2 --train.seed=5")
        assert experiment.components[("towers", tower)].dropout_seed == 5
    with pytest.raises(absl_flags.Error, match="eta.hash_seed"):
        parsed("--eta.hash_seed=1")


def test_no_component_has_a_seed_that_stays_the_same():
    for kind in registry.KINDS:
        for name in registry.components(kind):
            names = [field.name for field in dataclasses.fields(registry.component(kind, name).Config)]
            seeds = {found for found in names if found.endswith("seed")}
            assert seeds <= {"hash_seed", "choice_seed", "dropout_seed"}, name


def test_settings_leave_out_paths_and_the_seed():
    one, other = (parsed(f"--train.seed={seed} --workdir=w{seed}").settings() for seed in (1, 2))
    assert one == other
    assert parsed("--lap.csa_pool=mean").settings() != one


@pytest.mark.parametrize("arguments, message", [
    ("--lap.csa_pool=median", "lap.csa_pool.*sum, mean, softmax, abs_norm"),
    ("--train.epochs=many", "train.epochs.*integer"),
    ("--lap.msa_topk=3", "lap.msa_topk"),
])
def test_unknown_flags_and_values_are_refused(arguments, message):
    with pytest.raises(absl_flags.Error, match=message):
        parsed(arguments)


@pytest.mark.parametrize("arguments, message", [
    ("--model.long_term=sin", "model.long_term='sin' is not known; known:.*lap"),
    ("--dataset=taobo", "dataset='taobo' is not known; known: taobao, movielens"),
    ("--dataset=movielens", "movielens needs --input_dir"),
    ("--tower.input_dropout=1", "tower.input_dropout must be in .*got 1.0"),
    ("--crp.temperature=0", "crp.temperature must be positive, got 0"),
    ("--train.batch_size=-1", "train.batch_size must be at least 1, got -1"),
])
def test_impossible_values_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        parsed(arguments)


def test_missing_cfg_lists_the_known_ones():
    with pytest.raises(FileNotFoundError) as error:
        parsed("--flagfile=lcn_20_5.cfg")
    message, _, names = str(error.value).partition(": no such file, and not one of experiments/configs: ")
    assert message == "--flagfile=lcn_20_5.cfg"
    assert names.split(", ") == [*CONFIGS, *(f"data/{name}" for name in PRESETS)]


def test_bare_names_within_a_flag_file(tmp_path, monkeypatch):
    (tmp_path / "mine.cfg").write_text("\ufeff--flagfile=sim.cfg\n--sim.top_k=7\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "outer.cfg").write_text("--flagfile=mine.cfg\n# --flagfile=absent.cfg\n")
    for name in ("mine.cfg", "outer.cfg", f"{tmp_path}/outer.cfg"):
        experiment = parsed(f"--flagfile={name}")
        assert experiment.groups["model"].long_term == "sim"
        assert experiment.components[("long_term", "sim")].top_k == 7


def test_a_file_of_the_same_name_in_the_working_directory_changes_no_cfg_of_ours(tmp_path, monkeypatch):
    before = parsed("--flagfile=sim_inner_crp.cfg").settings()
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    for name in ("sim.cfg", "sim_inner.cfg", "data/taobao_generated.cfg"):
        (tmp_path / name).write_text("--sim.top_k=7\n--train.epochs=77\n")
    assert parsed("--flagfile=sim_inner_crp.cfg").settings() == before
    (tmp_path / "mine.cfg").write_text("--flagfile=sim.cfg\n")
    for name in ("sim.cfg", "mine.cfg"):  # the user's own, where the user asks for it
        assert parsed(f"--flagfile={name}").groups["train"].epochs == 77


def test_own_cfgs_build_on_ours_and_on_one_another(tmp_path, monkeypatch):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "small.cfg").write_text("--flagfile=sim_crp.cfg\n--sim.top_k=7\n--train.epochs=3\n")
    (tmp_path / "mine" / "smaller.cfg").write_text(
        "--flagfile=small.cfg\n--flagfile=data/movielens_implicit.cfg\n--sim.top_k=5\n")
    monkeypatch.chdir("/")
    experiment = parsed(f"--flagfile={tmp_path}/mine/smaller.cfg")
    assert experiment.groups["model"].objectives == ("crp",)
    assert experiment.components[("long_term", "sim")].top_k == 5
    assert experiment.groups["train"].epochs == 6  # movielens_implicit.cfg's, which comes after small.cfg
    assert parsed(f"--flagfile={tmp_path}/mine/smaller.cfg --sim.top_k=4").components[("long_term", "sim")].top_k == 4


@pytest.mark.parametrize("name", [*CONFIGS, *(f"data/{name}" for name in PRESETS)])
def test_a_cfg_says_only_what_differs_from_those_it_includes(name):
    path = pathlib.Path(str(flags.CONFIGS)) / name
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if line.startswith("-")]
    included = [line for line in lines if line.startswith("--flagfile=")]
    inherited: dict[str, str] = {}
    for argument in flag_files.expand([f"--flagfile={path}"], flags.find_config):
        option, _, value = argument.text.partition("=")
        if argument.origin.startswith(f"{path}, "):
            assert inherited.get(option) != value, f"{argument.origin} repeats what {', '.join(included)} says"
        else:
            inherited[option] = value
    assert lines[:len(included)] == included  # so that nothing included overrides the file's own lines
    assert len({line.partition("=")[0] for line in lines[len(included):]}) == len(lines) - len(included)


@pytest.mark.parametrize("line, message", [
    ("--flagfile=mine.cfg", r"--flagfile=mine.cfg: a circle of flag files, \S+mine.cfg includes \S+mine.cfg$"),
    ("--flagfile=lcn_20_5.cfg", r"--flagfile=lcn_20_5.cfg: no such file.*lcn_200_50.cfg"),
    ("--train.epochs=many", r"flag --train.epochs=many: .*integer"), ("--lap.msa_topk=3", r".*lap.msa_topk"),
    ("train.epochs=3", r"expected --name=value")])
def test_errors_name_the_line_of_a_flag_file(tmp_path, line, message):
    (tmp_path / "mine.cfg").write_text(f"--flagfile=lcn_200_50.cfg\n{line}\n")
    with pytest.raises((absl_flags.Error, FileNotFoundError), match=rf"mine\.cfg, line 2: {message}"):
        parsed(f"--flagfile={tmp_path}/mine.cfg")


def test_one_cfg_chooses_each_lifelong_model_and_others_build_on_it():
    lines = [line for name in CONFIGS for line in (flags.CONFIGS / name).read_text(encoding="utf-8").splitlines()]
    chosen = [line.partition("=")[2] for line in lines if line.startswith("--model.long_term=")]
    assert sorted(chosen) == sorted(registry.components("long_term"))


def test_every_component_follows_the_convention():
    for kind in registry.KINDS:
        for name in registry.components(kind):
            module, facts = registry.component(kind, name), FACTS.get(kind, ())
            assert module.__doc__ and module.build(module.Config(), *facts) is not None, f"{kind}/{name}"

"""Work folders: what is continued, what is replaced, what is refused, and their default names."""

import dataclasses
import shlex

import pytest
import tensorflow as tf

from experiments import flags, run_files
from lcn_tf.training import results


def parsed(arguments):
    flags.parse(["run", *shlex.split(arguments)])
    return flags.read()


def test_a_run_that_left_nothing_to_continue_is_replaced(tmp_path):
    for input_dir in ("misspelt", "right"):
        run_files.open_workdir(str(tmp_path), parsed(f"--dataset=movielens --input_dir={input_dir}"))
    assert "--input_dir=right\n" in (tmp_path / "flags.cfg").read_text()


@pytest.mark.parametrize("progress", ["checkpoint", "metrics"])
def test_progress_is_not_mixed_with_other_flags(tmp_path, progress):
    run_files.open_workdir(str(tmp_path), parsed("--train.epochs=2"))
    if progress == "metrics":
        (tmp_path / "metrics.json").write_text('{"metrics": {}}')
    else:
        tf.train.Checkpoint(step=tf.Variable(1)).save(str(tmp_path / "checkpoints" / "ckpt"))
    run_files.open_workdir(str(tmp_path), parsed("--train.epochs=2"))
    with pytest.raises(ValueError, match=r"other flags \(--train.epochs: 2 before, 3 now\)"):
        run_files.open_workdir(str(tmp_path), parsed("--train.epochs=3"))


def test_default_folders_differ_when_the_data_does():
    names = {run_files.workdir_of(parsed(arguments)) for arguments in
             ("--data_dir=a", "--data_dir=b", "--input_dir=a", "--train.seed=2 --data_dir=a", "")}
    assert len(names) == 5


def test_measuring_consistency_needs_no_other_workdir():
    assert run_files.workdir_of(parsed("--eval.consistency_rows=5000")) != run_files.workdir_of(parsed(""))


@pytest.mark.parametrize("arguments, name", [
    ("", "lap-200-50_crp"), ("--flagfile=lcn_50_none.cfg", "lap-50-none_crp"),
    ("--flagfile=lcn_all_50.cfg --crp.weight=0", "lap-all-50"), ("--flagfile=sim.cfg", "sim"),
    ("--flagfile=sim_inner.cfg", "sim-inner"), ("--flagfile=sim_separate.cfg", "sim-separate"),
    ("--flagfile=sdim_mhta.cfg --sdim.num_hashes=8", "sdim-mhta"),
    ("--model.long_term=dien --lifelong_dien.augru=code --crp.terms=pt,ps", "dien-code_crp-pt-ps")])
def test_names_tell_components_and_their_variants(arguments, name):
    assert run_files.name_of(parsed(arguments)) == name


def test_every_model_has_a_name_of_its_own():
    configs = {path.name for path in flags.CONFIGS.iterdir() if path.name.endswith(".cfg")}
    configs.remove("lcn_single_domain.cfg")  # the model of lcn_without_crp.cfg on other data
    assert len({run_files.name_of(parsed(f"--flagfile={name}")) for name in configs}) == len(configs)


def test_a_run_that_was_killed_before_its_metrics_replaces_its_line(tmp_path):
    experiment, metrics = parsed("--flagfile=lcn_200_50.cfg"), {"auc": 0.5}
    for seed, auc in ((1, 0.5), (2, 0.6), (2, 0.7)):
        experiment.groups["train"] = dataclasses.replace(experiment.groups["train"], seed=seed)
        run_files.write(str(tmp_path), experiment, "0123", {"commit": "abc"}, {**metrics, "auc": auc})
        (tmp_path / "metrics.json").unlink()
    lines = results.read_json_lines(str(tmp_path / "results.jsonl"))
    assert [(line["seed"], line["auc"]) for line in lines] == [(1, 0.5), (2, 0.7)]


def test_a_run_that_was_killed_before_its_metrics_replaces_its_version_and_no_other(tmp_path):
    exports = tmp_path / "saved_model"

    def export():
        version = run_files.version_to_export(str(tmp_path))
        (exports / str(version)).mkdir(parents=True)  # fails where there is one
        return version

    assert [export(), export()] == [1, 1]
    run_files.write(str(tmp_path), parsed(""), "0123", {}, {})
    assert [export(), export()] == [2, 2]  # as if metrics.json had been deleted
    assert sorted(path.name for path in exports.iterdir()) == ["1", "2"]


def test_the_version_of_a_finished_run_is_found_where_the_run_is_now(tmp_path):
    assert run_files.exported_version(str(tmp_path)) is None
    (tmp_path / "metrics.json").write_text('{"metrics": {}, "saved_model": "elsewhere/saved_model/2"}')
    assert run_files.exported_version(str(tmp_path)) == str(tmp_path / "saved_model" / "2")
    (tmp_path / "metrics.json").write_text('{"metrics": {}, "saved_model": null}')
    with pytest.raises(ValueError, match="metrics.json: saved_model must be the path of a version, got None"):
        run_files.exported_version(str(tmp_path))

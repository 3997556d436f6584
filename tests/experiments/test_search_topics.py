"""The topics that a search finds in generated logs: one that knows them, one of the wrong sign, plain loops."""

import contextlib
import csv

import numpy as np
import pytest

from data_prep.config import PreparationConfig
from data_prep.industrial.config import IndustrialConfig
from data_prep.industrial.generator import author_topics, generate
from data_prep.industrial.generator_config import GeneratorConfig
from data_prep.industrial.prepare import prepare
from experiments import run as job
from experiments import search_topics
from lcn_tf.data.pipeline import DataConfig, RecordFiles, read
from lcn_tf.embeddings import EmbeddingConfig
from lcn_tf.long_term import recent_k, sim
from lcn_tf.models import build_model
from lcn_tf.models.registry import ModelConfig, component
from tests import references_data

GENERATOR = GeneratorConfig(preset="tiny", num_users=40)
TOPICS = GENERATOR.process.num_topics
DATA = DataConfig(layout="flat", short_length=3, lifelong_length=60)
TOP_K = 7


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Logs and the records prepared from them."""
    folder = tmp_path_factory.mktemp("industrial")
    generate(folder / "logs", GENERATOR, workers=1)
    prepare(str(folder / "logs"), str(folder / "data"), IndustrialConfig(), PreparationConfig(
        short_length=3, lifelong_length=60, shards=1, workers=1, memory_limit="500MB"))
    return folder


@pytest.fixture(scope="module")
def files(folder):
    return RecordFiles.open(str(folder / "data"))


def model_of(files, name, options):
    config = ModelConfig(short_term="mean", long_term=name, objectives=())
    components = {(kind, part): component(kind, part).Config() for kind, part in config.parts}
    components["long_term", name] = options
    lengths = DATA.lengths_of(files.schema)
    model = build_model(files.schema, lengths, config, components, EmbeddingConfig(embedding_dim=TOPICS), 1)
    model.build_weights()
    return model


def model_that_knows_the_topics(files):
    """SIM Soft with a table of authors that has topics in place of vectors."""
    model = model_of(files, "sim", sim.Config(top_k=TOP_K, attention_dim=2 * TOPICS, aux_units=(2,)))
    vectors = {"author": np.eye(TOPICS + 1)[search_topics.topics_of_ids(files, author_topics(GENERATOR))][:, :TOPICS],
               "category": np.zeros((files.schema.tables["category"], TOPICS))}
    for table, values in vectors.items():
        model.embedder.tables.vectors[table].assign(values.astype(np.float32))
    model.long_term.search.candidate_kernel.assign(np.eye(2 * TOPICS))
    return model


def measured(files, model):
    topics = search_topics.topics_of_ids(files, author_topics(GENERATOR))
    return search_topics.measure(model, read(files, "train", DATA, 32), topics, TOPICS, 10**6)


def test_authors_have_one_topic_each(folder):
    """A category is of one topic: so are, in the logs, all authors beside it."""
    topics = author_topics(GENERATOR)
    with open(folder / "logs" / "events.csv", newline="", encoding="ascii") as file:
        pairs = {(row["category"], topics[int(row["author"])]) for row in csv.DictReader(file)}
    assert len(pairs) == len({category for category, _ in pairs}) > 4 * TOPICS
    assert {topic for _, topic in pairs} == set(range(TOPICS))


def test_a_search_by_topic_finds_it_and_one_of_the_wrong_sign_puts_it_last(files):
    model, shares = model_that_knows_the_topics(files), []
    for sign in (1.0, -1.0):
        model.long_term.search.event_kernel.assign(sign * np.eye(2 * TOPICS))
        shares.append(measured(files, model))
    right, wrong = shares
    seen = right.place > 0
    assert seen.sum() > 10 and np.all(right.place[seen] == 1) and right.last == 0
    assert np.all(wrong.place[seen] == TOPICS) and wrong.last == seen.sum()
    assert np.all(right.kept[seen] > right.visible[seen]) and np.nanmax(wrong.kept) < np.nanmean(right.visible)
    np.testing.assert_array_equal(right.impressions, wrong.impressions)


def test_equals_loops_over_the_records(folder, files):
    """The most recent events of every impression, counted from the raw ids of the records."""
    shares = measured(files, model_of(files, "recent_k", recent_k.Config(top_k=TOP_K)))
    topics, kept, visible = author_topics(GENERATOR), {}, {}
    for record in references_data.read_records(folder / "data", "train"):
        authors = record["lifelong_source_author"]
        if len(authors) > TOP_K:
            events = [topics.get(int(author)) for author in authors]
            for own in (topics[int(author)] for author in record["author"]):
                kept.setdefault(own, []).append(np.mean([topic == own for topic in events[:TOP_K]]))
                visible.setdefault(own, []).append(np.mean([topic == own for topic in events]))
    for topic in range(TOPICS):
        assert shares.impressions[topic] == len(kept.get(topic, []))
        assert shares.kept[topic] == pytest.approx(np.mean(kept[topic]))
        assert shares.visible[topic] == pytest.approx(np.mean(visible[topic]))


def test_what_cannot_be_measured_is_refused(files):
    with pytest.raises(ValueError, match="long_term=sdim has no search"):
        measured(files, model_of(files, "sdim", component("long_term", "sdim").Config()))
    with pytest.raises(ValueError, match="author .* is not one of the generator's"):
        search_topics.topics_of_ids(files, {1: 0})


def test_the_command(tmp_path, capsys):
    generator = ["--dataset=industrial", "--industrial_generator.preset=tiny", "--industrial_generator.num_users=40"]
    small = ["--data.short_length=3", "--data.lifelong_length=60", "--train.epochs=1", "--embeddings.embedding_dim=4",
             "--sim.top_k=7", "--sim.aux_units=2", "--model.short_term=mean", "--tower.units=3", "--export=false"]
    with contextlib.chdir(tmp_path):
        job.main(job._parse(["run", "--flagfile=sim.cfg", *generator, *small, "--workdir=sim"]))
        capsys.readouterr()
        search_topics.main(["--workdir=sim", "--split=train", "--rows=200"])
        table = capsys.readouterr().out
        for arguments, message in (
                (["--workdir=none"], "holds no run"), (["--workdir=sim", "--rows=0"], "--rows must be at least 1")):
            with pytest.raises(SystemExit, match=message):
                search_topics.main(arguments)
    assert "own among kept" in table and f"of {TOPICS} topics, last for" in table
    rows = [line.split() for line in table.splitlines() if line[:1].isdigit()]
    assert [row[0] for row in rows] == [str(topic) for topic in range(TOPICS)]
    assert 100 < sum(int(row[1]) for row in rows) <= 200

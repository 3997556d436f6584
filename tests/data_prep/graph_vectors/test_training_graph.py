"""Edges are those of the training records, each once, whatever records repeat."""

import copy
import dataclasses

import pytest

from data_prep.graph_vectors.training_graph import read_graph
from lcn_tf.data.record_files import RecordFiles
from lcn_tf.schema import FIRST_ID, HistorySpec
from tests import synthetic


def graph_of(data_dir, behaviour=None, clicks=True):
    return read_graph(RecordFiles.open(str(data_dir)), "item", "user_id", behaviour, clicks, lambda line: None)


def edges_by_hand(groups, behaviour=None, clicks=True):
    """(user's key, item, behaviour) of the groups, by loops."""
    found = set()
    for group in groups:
        user = group["user_key"][0]
        for history in synthetic.HISTORIES:
            domain = "target" if history == "short_target" else "source"
            for place, item in enumerate(group[f"{history}_item_id"]):
                of = f"events of the {domain} domain"
                if behaviour:
                    code = group[f"{history}_{behaviour}"][place]
                    of = f"{behaviour} " + ("out of vocabulary" if code == 1 else f"{behaviour}_{code}")
                found.add((user, item, of))
        if clicks:
            found |= {(user, item, "clicks") for item, label in zip(group["item_id"], group["label"], strict=True)
                      if label}
    return {edge for edge in found if edge[1] >= FIRST_ID}


@pytest.mark.parametrize(("behaviour", "clicks"), [(None, True), ("behaviour", True), ("behaviour", False)])
def test_edges_are_those_of_the_training_records_each_once(tmp_path, behaviour, clicks):
    groups = synthetic.make_groups(synthetic.make_schema(), 40, seed=2)
    groups += [{**copy.deepcopy(group), "user_key": [1_000 + place % 7]} for place, group in enumerate(groups)]
    synthetic.write_records(tmp_path, groups={"train": groups, "validation": 9, "test": 9})
    graph = graph_of(tmp_path, behaviour=behaviour, clicks=clicks)
    found = [(graph.users[user], graph.items[item], name)
             for name, edges in zip(graph.behaviours, graph.edges, strict=True)
             for user, item in zip(*edges.nonzero(), strict=True)]
    assert len(found) == len(set(found)) and set(found) == edges_by_hand(groups, behaviour, clicks)
    assert (graph.behaviours[-1] == "clicks") == clicks and all((edges.data == 1).all() for edges in graph.edges)
    last = {group["user_key"][0]: group["user_id"][0] for half in (groups[::2], groups[1::2]) for group in half}
    assert [last[key] for key in graph.users.tolist()] == graph.user_ids.tolist()


def test_extra_histories_are_no_edges(tmp_path):
    plain = synthetic.make_schema()
    extra = {**plain.histories, "unclicked_target": HistorySpec("target", 9, "extra")}
    groups = synthetic.write_records(tmp_path, dataclasses.replace(plain, histories=extra))["train"]
    assert sum(edges.nnz for edges in graph_of(tmp_path).edges) == len(edges_by_hand(groups))

"""TensorFlow's C API gives the bits that Python's session gives, from several threads at once."""

import threading

import numpy as np
import pytest

from lcn_tf.serving.c_session import CSession, SessionError
from lcn_tf.serving.verify import VERIFICATION_PATH, read_examples, read_recorded


def _inputs_of(exported, signature, values):
    return {name: values[name] for name in exported.loaded.signatures[signature].structured_input_signature[1]}


@pytest.fixture(scope="module")
def session(exported):
    session = CSession(str(exported.path), threads=1)
    yield session
    session.close()


def test_every_signature_answers_as_in_python(exported, session):
    path = str(exported.path / VERIFICATION_PATH)
    _, _, request = read_recorded(path)
    state = exported.serve("user_state", **_inputs_of(exported, "user_state", request))
    everything = {**request, **state, "examples": np.array(read_examples(path), dtype=object)}
    assert set(session.signatures) == set(exported.loaded.signatures)
    for signature in session.signatures:
        inputs = _inputs_of(exported, signature, everything)
        expected = exported.serve(signature, **{name: values.tolist() if values.dtype == object else values
                                                for name, values in inputs.items()})
        found = session.run(signature, inputs)
        assert set(found) == set(expected)
        for name, values in expected.items():
            assert found[name].dtype == values.dtype and found[name].shape == values.shape, name
            np.testing.assert_allclose(found[name], values, rtol=0, atol=1e-6)


def test_threads_get_their_own_answers(exported, session):
    _, mask, request = read_recorded(str(exported.path / VERIFICATION_PATH))
    rows = [{name: values[row:row + 1] for name, values in request.items()} for row in range(len(mask))]
    expected = [session.run("serving_default", row)["probability"].tobytes() for row in rows]
    wrong = []

    def ask(first):
        for step in range(60):
            row = (first + step) % len(rows)
            if session.run("serving_default", rows[row])["probability"].tobytes() != expected[row]:
                wrong.append(row)

    threads = [threading.Thread(target=ask, args=(3 * number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == [] and len(set(expected)) > 5


def test_what_tensorflow_refuses(exported, session, tmp_path):
    _, _, request = read_recorded(str(exported.path / VERIFICATION_PATH))
    with pytest.raises(SessionError, match="category must have the shape of timestamp"):
        session.run("serving_default", {**request, "category": request["category"][:1]})
    with pytest.raises(SessionError, match="the request for serving_default has no age$"):
        session.run("serving_default", {name: values for name, values in request.items() if name != "age"})
    with pytest.raises(SessionError, match="SavedModel"):
        CSession(str(tmp_path))

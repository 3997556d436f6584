import numpy as np

from data_prep.generating.log_text import LINE_ENDS, csv_rows, probability_texts


def test_csv_text():
    columns = [np.array([7, 1_704_038_400, 0], np.int32), np.array(["a", "", "1.0E8"])]
    assert csv_rows(columns) == b"7,a\n1704038400,\n0,1.0E8\n"
    assert csv_rows(columns, LINE_ENDS["crlf"]) == b"7,a\r\n1704038400,\r\n0,1.0E8\r\n"
    assert csv_rows([np.array([], np.int64), np.array([], str)]) == b""


def test_probabilities():
    probabilities = np.array([0.0, 1e-12, 0.123456784, 0.5, 1.0])
    assert probability_texts(probabilities).tolist() == [
        "0.00000001", "0.00000001", "0.12345678", "0.50000000", "0.99999999"]
    assert csv_rows([np.arange(0), probability_texts(np.zeros(0))]) == b""

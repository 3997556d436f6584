import numpy as np

from data_prep.log_text import cells, csv_rows, decimal_cells, probability_cells, timestamp_cells


def test_csv_text():
    columns = [cells(np.array([7, 123, 0])), cells(["a", "", "ccc"]), decimal_cells(np.array([5, 12_345_678, 0]), 2)]
    assert csv_rows(columns, b"\r\n") == b"7,a,00000005\r\n123,,12345678\r\n0,ccc,00000000\r\n"
    assert csv_rows([cells(np.array([], np.int64))], b"\n") == b""


def test_seconds_and_probabilities():
    seconds = np.array([1_704_038_400, 9_999_999_999])
    assert csv_rows([timestamp_cells(seconds)], b"\n") == b"1704038400\n9999999999\n"
    probabilities = np.array([0.0, 1e-12, 0.123456784, 0.5, 1.0])
    assert csv_rows([probability_cells(probabilities)], b"\n").split() == [
        b"0.00000001", b"0.00000001", b"0.12345678", b"0.50000000", b"0.99999999"]

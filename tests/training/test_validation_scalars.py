import math

from lcn_tf.training.validation_scalars import ValidationScalars
from tests.training.event_files import scalars_of


def test_event_files_say_what_the_history_says_also_after_a_kill(tmp_path):
    folder = str(tmp_path / "validation")
    rows = [{"epoch": epoch, "train_auc": 0.9, "validation_auc": 0.5 + epoch / 8, "seconds": 2} for epoch in (1, 2, 3)]
    killed = ValidationScalars(folder, [])
    killed.write(rows[0])
    killed.write({**rows[1], "validation_auc": math.nan})  # of an epoch that the checkpoint does not know
    continued = ValidationScalars(folder, rows[:1])
    for row in rows[1:]:
        continued.write(row)
    assert scalars_of(folder) == {"epoch_auc": [(0, 0.625), (1, 0.75), (2, 0.875)]}

"""From record files to batches.

What it offers is loaded when it is first used: data preparation needs the bytes of records, not TensorFlow.
"""

from typing import TYPE_CHECKING

from lcn_tf import lazy_names

__all__ = ["DataConfig", "RecordError", "RecordFiles", "encode", "read"]

if TYPE_CHECKING:
    from lcn_tf.data.pipeline import DataConfig, read
    from lcn_tf.data.record_bytes import RecordError
    from lcn_tf.data.record_files import RecordFiles
    from lcn_tf.data.records import encode
else:
    __getattr__, __dir__ = lazy_names.offer(__name__, __all__, {
        "DataConfig": "lcn_tf.data.pipeline",
        "RecordError": "lcn_tf.data.record_bytes",
        "RecordFiles": "lcn_tf.data.record_files",
        "encode": "lcn_tf.data.records",
        "read": "lcn_tf.data.pipeline",
    })

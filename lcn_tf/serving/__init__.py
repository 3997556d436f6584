"""Export as SavedModel: signatures, warm-up requests, verification in a clean process."""

from lcn_tf.serving.export import export_model
from lcn_tf.serving.verify import VerificationError, VerifyReport, verify_export

__all__ = ["VerificationError", "VerifyReport", "export_model", "verify_export"]

"""The checks: functions of a case that raise `Mismatch`, one promise each."""

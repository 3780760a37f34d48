"""Every reason code of a decision, in the order of the ladder: the order is a contract.

The first rung that applies decides. Codes are stable: they stand in journals and reports.
"""

from __future__ import annotations

from enum import StrEnum


class Reason(StrEnum):
    """Why access was granted or denied. Declared in ladder order."""

    # 1 the lane cannot serve anyone
    EMERGENCY_OPEN = "emergency_open"  # recorded, changes nothing: the gate is already open
    DENIED_LANE_OUT_OF_SERVICE = "denied_lane_out_of_service"
    DENIED_LANE_CLOSED = "denied_lane_closed"  # lane mode closed, or not for this direction
    DENIED_LANE_BUSY = "denied_lane_busy"  # a person is passing or a grant is pending
    # 2 the credential is not what it claims
    DENIED_UNREADABLE = "denied_unreadable"  # not a code of ours, or mangled
    DENIED_BAD_SIGNATURE = "denied_bad_signature"
    DENIED_UNKNOWN_CREDENTIAL = "denied_unknown_credential"
    # 3 a deny entry beats any grant
    DENIED_REVOKED = "denied_revoked"
    DENIED_NOT_ACTIVATED = "denied_not_activated"
    # 4 time
    DENIED_TIME_UNTRUSTED = "denied_time_untrusted"
    DENIED_NOT_YET_VALID = "denied_not_yet_valid"
    DENIED_EXPIRED = "denied_expired"
    DENIED_AREA = "denied_area"
    DENIED_SCHEDULE = "denied_schedule"
    # 5 use
    DENIED_ALREADY_USED = "denied_already_used"
    DENIED_PER_DAY_LIMIT = "denied_per_day_limit"
    DENIED_ANTI_PASSBACK = "denied_anti_passback"
    DENIED_AREA_FULL = "denied_area_full"
    # 6 the durable claim of a single-use pass could not be settled in time
    DENIED_REDEMPTION_UNKNOWN = "denied_redemption_unknown"
    # granted
    GRANTED = "granted"
    GRANTED_ANTI_PASSBACK_SOFT = "granted_anti_passback_soft"
    GRANTED_ASSIST = "granted_assist"  # the guard let one person through, with a reason
    GRANTED_FREE_EXIT = "granted_free_exit"

    @property
    def granted(self) -> bool:
        """True when the lane is released for the person."""
        return self.value.startswith("granted")

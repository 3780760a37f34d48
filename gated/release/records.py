"""How a record of the release reads: a line of the audit trail on disk, and a journald entry.

A line of the trail is JSON: `at` (UTC, ISO 8601), `monotonic` (seconds since boot), `code` (stable),
`text` (a sentence), and plain details such as input, cause, lane, by, why.
"""

from __future__ import annotations

import json

from gated.release.words import Alarmed, Audit, Now

# One MESSAGE_ID per code, for `journalctl MESSAGE_ID=...` (systemd.journal-fields(7)).
MESSAGE_IDS = {
    "alarm": "5136fa5840ae58f8b5744fa0a56f2707",
    "input_clear": "0025fd30c2d859988eaf5fc0ad9c7ba7",
    "input_fault": "e550b585e0185199b60d0566201d93e7",
    "input_back": "726bba38cd875d9199ddc132fa015856",
    "latch_restored": "973cc7d931855b40ad7d66318a356fe5",
    "latch_unreadable": "dea6a49ce9425861b25da08d86111c10",
    "reset": "15822b316ecd5d82846e53e89c72600d",
    "reset_refused": "16dd926ea61c55b3bd9925b0862ba900",
    "relocked": "28b24ab5a30656cda6247343e776d5c2",
    "open_by_hand": "a3c283ddc14e5eed9c9f98f147605f5a",
    "open_confirmed": "26a0e2c19a805087b9fc0afb53ad81c7",
    "opened": "f14e2380b59d7750a58b6adb4d63ffbe",
    "open_ordered": "b70c3e002553ad250be46c939cd1eb5e",
    "open_refused": "c573884684e2f9ddb497f8a119ab90c3",
    "drill": "621b495811264efa623ad3b482f41143",
    "drill_refused": "14ed7224f6c124174a0d1a77029d956b",
    "drill_upgraded": "cdd10a577dc7230362cd87dde62e6540",
    "inspection": "cc93e46f414934a01c6768bcc7e9f8e9",
    "inspection_refused": "b00b21d2c755823ad40c9c54ce954d3d",
    "inspection_over": "54bcc69599cf0452e43b313fbf56e16b",
    "inspection_end_refused": "1649db832279b5166150d5a0bb9380f8",
    "inhibited": "110c68e6075f5e4599886df3ddd7007d",
    "device_fault": "4d534294d74c5888be28f0cd1979ab3a",
    "device_back": "36651d7beeef502490beef2869f10e85",
    "store_fault": "c1efe76342905475a7b7cd91740cd1d5",
    "store_back": "5d5080b60e3e5f509bd7e93782708d30",
    "survivor_fault": "4f070bbd664241839430e09bdbe7566f",
    "survivor_back": "67ab4b97f4404cc3a2d8239bb33f99e9",
    "monitor_trouble": "c31c640e7ff64a98a27d8e19b8110818",
    "monitor_good": "8101b880190145ec8b13ed98e2090c62",
    "monitor_unread": "055cf1410ac647cabb675c7396b8d1c6",
    "reminder": "cbf0beefcb9b45a5bc7fcb29dbedc994",
    "started": "d8e6bcb70c665402935ceac40bb5d40c",
    "stopped": "265609e17ab55e208deb3d7deb4900a8",
    "failed": "27821b44c60850afb9b594138b32a73c",
}


def alarm(effect: Alarmed) -> Audit:
    """The record of a latched cause."""
    lanes = ",".join(sorted(effect.lanes))
    detail = {"input": effect.source.input, "cause": str(effect.source.cause), "lane": lanes}
    return Audit("alarm", f"ALARM {effect.source.cause} from {effect.source.input}: {lanes} open", 1, detail)


def line(audit: Audit, now: Now) -> bytes:
    """The record as one line of the trail."""
    record = {
        "at": now.utc.isoformat(),
        "monotonic": round(now.monotonic, 6),
        "code": audit.code,
        "text": audit.text,
        **audit.detail,
    }
    return json.dumps(record, ensure_ascii=False).encode("utf-8", "replace") + b"\n"


def fields(audit: Audit) -> dict[str, str]:
    """The record's structured fields for journald."""
    named = {f"GATED_{key.upper()}": value for key, value in audit.detail.items()}
    return {"GATED_EVENT": audit.code, **named, "MESSAGE_ID": MESSAGE_IDS[audit.code]}

"""The errors that an SMS can have, from the provider's table of codes (sms_errors.tsv).

(group, id) is the key: 4102 stands in two groups. Texts on the wire are documented for a few only;
the others are made of the name.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Final

from receiver.dlr.model import Error

NO_ERROR: Final = "NO_ERROR"

ERROR_GROUPS: Final = ("OK", "HANDSET_ERRORS", "USER_ERRORS", "OPERATOR_ERRORS")
"""By number. "OK" and not the "Ok" of some v2 samples: the official clients' models are strict
(reference, part 8)."""


@cache
def errors() -> Mapping[str, Error]:
    """By name. Of the one name that stands there twice, the first."""
    text = files("receiver.dlr").joinpath("sms_errors.tsv").read_text("utf-8")
    rows = csv.DictReader(text.splitlines(), delimiter="\t", quoting=csv.QUOTE_NONE)
    found: dict[str, Error] = {}
    for row in rows:
        found.setdefault(row["name"], _error(row))
    return found


def _error(row: Mapping[str, str]) -> Error:
    group = int(row["group"])
    return Error(
        group_id=group,
        group_name=ERROR_GROUPS[group],
        id=int(row["id"]),
        name=row["name"],
        description=row["description"],
        permanent=row["permanent"] == "true",
    )

"""The vocabulary both packages share: reports, their statuses, and their two formats.

Pure: nothing in here reads a clock, a file or a socket. The two formats have functions of the same
names, so they are used by module: `json_format.decode_body`, `xml_format.decode_body`. Identities
are in `receiver.dlr.identity`, whose chief function has the module's name and so is not repeated.
"""

from __future__ import annotations

from receiver.dlr import json_format, xml_format
from receiver.dlr.errors import MalformedBody, MalformedReport, Unreadable
from receiver.dlr.instants import format_instant, parse_instant, utc_microseconds
from receiver.dlr.item import read_item, write_item
from receiver.dlr.model import Error, Format, Generation, Price, Report, Status
from receiver.dlr.statuses import group_of, is_final, progress

__all__ = [
    "Error",
    "Format",
    "Generation",
    "MalformedBody",
    "MalformedReport",
    "Price",
    "Report",
    "Status",
    "Unreadable",
    "format_instant",
    "group_of",
    "is_final",
    "json_format",
    "parse_instant",
    "progress",
    "read_item",
    "utc_microseconds",
    "write_item",
    "xml_format",
]

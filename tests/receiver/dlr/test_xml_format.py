from decimal import Decimal
from typing import Any

import pytest
from msgspec.structs import replace

from receiver.dlr.errors import MalformedBody, Unreadable
from receiver.dlr.item import read_item
from receiver.dlr.model import Error, Generation, Price, Report, Status
from receiver.dlr.xml_format import decode_body, encode_body, raw_items
from tests.receiver.payloads import V2_XML, V3_XML, a_report, a_v3_item, an_item


def item(content: str) -> str:
    return f"<r><results><result>{content}</result></results></r>"


def read(document: str | bytes) -> list[Report | Unreadable]:
    return decode_body(document.encode() if isinstance(document, str) else document)


def test_reads_both_generations() -> None:
    """A document of each generation gives the report that its JSON gives."""
    assert decode_body(V2_XML) == [read_item(an_item(), "x")]
    assert decode_body(V3_XML) == [read_item(a_v3_item(), "x")]


@pytest.mark.parametrize(
    "document",
    [
        "<any><results><result><to>1</to></result><result><to>2</to></result></results></any>",
        "<any><results><results><to>1</to></results><results><to>2</to></results></results></any>",
        "<any><results><to>1</to></results><results><to>2</to></results></any>",
        "<any><results><result><to>1</to></result></results>"
        "<results><result><to>2</to></result></results></any>",
        "<results><result><to>1</to></result><result><to>2</to></result></results>",
        '<n:any xmlns:n="urn:x"><n:results><n:result><n:to>1</n:to></n:result>'
        "<n:result><n:to>2</n:to></n:result></n:results></n:any>",
        '<any xmlns="urn:x" a="1"><results n="2">\n <result id="1"> <to a="b">1</to>\n</result>'
        "<result><to><![CDATA[2]]></to><!-- said --></result></results></any>",
        "<!DOCTYPE any><any><results><result><to>1</to></result><result><to>&#50;</to></result>"
        "</results></any>",
    ],
)
def test_reads_every_shape_that_was_seen(document: str) -> None:
    """Any root, prefix, doubled or repeated plural: the same two reports."""
    reports = [report for report in read(document) if isinstance(report, Report)]
    assert [report.to for report in reports] == ["1", "2"]


@pytest.mark.parametrize(
    "document", ["<r><results/></r>", "<r><results> \n</results></r>", '<r><results a="1"/></r>']
)
def test_no_reports_is_no_error(document: str) -> None:
    """An empty `results` is no report."""
    assert read(document) == []


@pytest.mark.parametrize(
    ("document", "told"),
    [
        ("", "line 1, column 1: no element found"),
        ('{"results":[]}', "line 1, column 1: not well-formed (invalid token)"),
        ("<r>\n<a></b></r>", "line 2, column 6: mismatched tag"),
        ("<r><results>", "line 1, column 13: no element found"),
        ("<r/>", "r: expected an element <results>, got nothing"),
        ("<r>text</r>", 'r: expected an element <results>, got "text"'),
        ("<n:r xmlns:n='x'><other/></n:r>", "r: expected an element <results>, got other elements"),
        (
            '<!DOCTYPE r [<!ENTITY e "x">]><r><results/></r>',
            "not readable as XML: entities are disabled",
        ),
        ('<?xml version="1.0" encoding="klingon"?><r/>', "not readable as XML: unknown encoding"),
        ("<r>\0</r>", "line 1, column 4: not well-formed (invalid token)"),
    ],
)
def test_a_body_without_results_is_refused(document: str, told: str) -> None:
    """What is not XML or has no `results` is refused, with where and what."""
    with pytest.raises(MalformedBody) as refused:
        read(document)
    assert str(refused.value).startswith(told)


@pytest.mark.parametrize(
    ("document", "generation"),
    [
        ("<DeliveryReports><results><result/></results></DeliveryReports>", "v3"),
        ("<reportResponse><results><result/></results></reportResponse>", "v2"),
        ("<other><results><result/></results></other>", None),
        (
            "<DeliveryReports><results><result><smsCount>1</smsCount></result></results>"
            "</DeliveryReports>",
            "v2",
        ),
    ],
)
def test_the_root_tells_what_the_fields_do_not(document: str, generation: str | None) -> None:
    """The root's name is a hint for items without telling fields."""
    (report,) = read(document)
    assert isinstance(report, Report)
    assert report.generation == generation


@pytest.mark.parametrize(
    ("content", "report"),
    [
        ("", Report()),
        ("<to/>", Report(to="")),
        ("<to>  x\n</to>", Report(to="  x\n")),
        ("<callbackData> </callbackData>", Report(callback_data=" ")),
        ("<sentAt/>", Report()),
        ("<price/>", Report(price=Price())),
        ("<status> </status>", Report(status=Status())),
        ("<status><id/></status>", Report(status=Status())),
        ("<error>\n<permanent>true</permanent>\n</error>", Report(error=Error(permanent=True))),
        ('<to xmlns:x="urn:x" x:nil="true"/>', Report()),
        ("<mccmnc>04501</mccmnc>", Report(mcc_mnc="04501")),
        ("<novel><a/><a>1</a></novel>", Report(unknown={"novel": {"a": ["", "1"]}})),
        (
            '<status code="7"><id>5</id></status>',
            Report(status=Status(id=5, unknown={"@code": "7"})),
        ),
    ],
)
def test_empty_elements_are_what_json_would_say(content: str, report: Report) -> None:
    """Empty texts stay, empty numbers and instants are absent, empty objects are objects."""
    assert read(item(content)) == [report]


def test_namesakes_of_two_namespaces_are_both_kept() -> None:
    """Dropping prefixes loses no field."""
    content = '<to>1</to><a:to xmlns:a="x">2</a:to><a:n xmlns:a="x">3</a:n><b:n xmlns:b="y">4</b:n>'
    (report,) = read(item(content))
    assert isinstance(report, Report)
    assert report.to == "1"
    assert report.unknown == {"a:to": "2", "n": "3", "b:n": "4"}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "iso-8859-1", "windows-1252"])
def test_reads_declared_encodings_and_quarantines_utf8(encoding: str) -> None:
    """Other encodings are read; the bytes of a bad item are kept in UTF-8."""
    bad = "<result a='>'>\n<smsCount>é>/</smsCount></result >"
    declared = encoding.removesuffix("-sig")
    document = (
        f'<?xml version="1.0" encoding="{declared}"?><r><results><result><to>é</to></result>'
        f"{bad}<result><to>2</to></result></results></r>"
    )
    first, unreadable, last = decode_body(document.encode(encoding))
    assert [first, last] == [Report(to="é"), Report(to="2")]
    assert unreadable == Unreadable(
        raw=bad.encode(),
        place="results[1].smsCount",
        reason='expected an integer, got "é>/"',
    )


@pytest.mark.parametrize(
    "document",
    [
        "<r><results><result/><results>BAD</results></results></r>",
        "<r><results><a/></results><results>BAD</results></r>",
        "<results><result/><results>x</results></results>",
        "<results><result>BAD</result><result/></results>",
        "<r><x/><results/><n:results xmlns:n='x'><n:result><to/><to/></n:result></n:results></r>",
    ],
)
def test_the_right_bytes_are_found_in_every_shape(document: str) -> None:
    """Wherever a bad item stands, its own element is kept."""
    (bad,) = (item for item in read(document) if isinstance(item, Unreadable))
    assert bad.raw.decode() in document
    assert bad.raw.count(b"BAD") == document.count("BAD")
    assert (bad.raw[:1], bad.raw[-1:]) == (b"<", b">")


@pytest.mark.parametrize(
    ("generation", "root"), [("v2", "reportResponse"), ("v3", "DeliveryReports")]
)
def test_writes_what_it_reads(generation: Generation, root: str) -> None:
    """A written document has the provider's root and is read back as the same reports."""
    reports = [a_report(generation=generation), a_report("PENDING_ENROUTE", generation=generation)]
    document = encode_body(reports)
    assert document.startswith(
        f'<?xml version="1.0" encoding="utf-8"?>\n<{root}><results>'.encode()
    )
    assert decode_body(document) == reports


@pytest.mark.parametrize("generation", ["v2", "v3"])
def test_writes_no_reports(generation: Generation) -> None:
    """An empty document has an empty `results`."""
    assert decode_body(encode_body([], generation)) == []


def test_converts_generations() -> None:
    """A v2 report is written as v3 when that is asked for."""
    (report,) = decode_body(encode_body([a_report()], "v3"))
    assert report == replace(a_report(), generation="v3")


@pytest.mark.parametrize(
    ("text", "back"),
    [
        ("a\r\nb\rc", "a\r\nb\rc"),
        (" \t\n ", " \t\n "),
        ("<&>\"']]>", "<&>\"']]>"),
        ("a\0b\x1f\ufffe\uffff", "a\ufffdb\ufffd\ufffd\ufffd"),
        ("𝄞 é", "𝄞 é"),
    ],
)
def test_texts_survive_as_far_as_xml_can_hold_them(text: str, back: str) -> None:
    """Line ends and blanks survive; what XML cannot hold becomes U+FFFD."""
    (report,) = decode_body(encode_body([Report(callback_data=text)]))
    assert isinstance(report, Report)
    assert report.callback_data == back


def test_numbers_have_no_exponent() -> None:
    """XML schema decimals know no exponent; booleans are in small letters."""
    report = Report(
        price=Price(per_message=Decimal("1E-7")),
        error=Error(permanent=True),
        unknown={"n": Decimal("1E+3"), "f": 0.5, "b": False, "i": 7},
    )
    document = encode_body([report]).decode()
    assert "<pricePerMessage>0.0000001</pricePerMessage>" in document
    assert "<permanent>true</permanent>" in document
    assert "<n>1000</n><f>0.5</f><b>false</b><i>7</i>" in document


@pytest.mark.parametrize(
    "name",
    ["@a", "#text", "#comment", "1a", "a b", "a:b", "", "<a>", "a\n", "²", "é b", "é:b", "\uf900"],
)
def test_names_that_xml_cannot_hold_are_left_out(name: str) -> None:
    """An unknown field with an impossible name does not spoil the document."""
    unknown: dict[str, Any] = {name: "x", "kept": {name: "y", "é.ü-1": [None, ["z"]]}}
    (report,) = decode_body(encode_body([Report(unknown=unknown)]))
    assert report == Report(generation="v2", unknown={"kept": {"é.ü-1": "z"}})


def test_blanks_before_the_declaration() -> None:
    """A body that begins with blanks is read, though XML allows none before its declaration."""
    body = b'\r\n <?xml version="1.0"?><reportResponse><results><result><messageId>m</messageId>'

    (report,) = decode_body(body + b"</result></results></reportResponse>")

    assert isinstance(report, Report)
    assert report.message_id == "m"


@pytest.mark.parametrize(
    "items",
    [
        [b"<result/>", b"<result><a/></result>", b"<result />"],
        [b'<result a="x>y/" b=\'"\'/>', b"<result></result>", b"<result>x/></result>"],
        [b"<result><a/><!-- /> --></result>", b"<result/>"],
    ],
)
@pytest.mark.parametrize("between", [b"", b" ", b"\n<other/>"])
def test_the_bytes_of_an_item_end_where_it_ends(items: list[bytes], between: bytes) -> None:
    """An empty item had the tag behind it in its bytes: for `<result/>` the parser tells of its end
    where the next tag begins."""
    body = b"<r><results>" + between.join(items) + b"</results></r>"
    assert raw_items(body) == items

"""One file and the environment become settings, or every fault at once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.settings.configuration import (
    Between,
    ByteSize,
    ConfigurationError,
    Form,
    Secret,
    size,
    size_text,
)
from receiver.settings.durations import duration, duration_text
from receiver.settings.reader import read
from receiver.settings.writing import effective


@dataclass(frozen=True, slots=True)
class Shop:
    bread: Annotated[int, Between(1, 9)] = 2
    milk: float = 1.5
    open: bool = True
    rest: timedelta = timedelta(minutes=5)
    cellar: ByteSize = 1024
    day: Literal["monday", "sunday"] = "monday"
    key: Secret | None = None
    guests: tuple[str, ...] = ()
    prices: dict[str, Secret] = field(default_factory=dict)
    limit: Annotated[int, Between(1)] | None = None


@dataclass(frozen=True, slots=True)
class Branch:
    name: Annotated[str, Form("a name without blanks", lambda text: " " not in text)]
    address: str = ""
    first: timedelta = timedelta(seconds=1)
    last: timedelta = timedelta(seconds=2)
    pin: Annotated[Secret, Form("a text of 4 digits", str.isdigit)] | None = None

    def faults(self) -> Iterable[tuple[str, str]]:
        if self.first > self.last:
            yield "last", "expected not to be before first"


@dataclass(frozen=True, slots=True)
class Town:
    shop: Shop = Shop()
    branch: tuple[Branch, ...] = ()
    title: str = "town"

    def faults(self) -> Iterable[tuple[str, str]]:
        names = [each.name for each in self.branch]
        for index, name in enumerate(names):
            if name in names[:index]:
                yield f"branch[{index}].name", "expected a name of its own"


@pytest.fixture
def town(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Reads `text` as town.toml with `environment`."""
    monkeypatch.chdir(tmp_path)

    def read_town(text: str = "", **environment: str) -> Town:
        Path("town.toml").write_text(text)
        return read(Town, Path("town.toml"), environment)

    return read_town


def faults_of(town: Any, text: str = "", **environment: str) -> tuple[str, ...]:
    with pytest.raises(ConfigurationError) as caught:
        town(text, **environment)
    return caught.value.faults


def test_defaults_without_a_file() -> None:
    """Without a file and variables every setting has its default."""
    assert read(Town, None, {"PATH": "/bin"}) == Town()


def test_every_kind_of_value(town: Any) -> None:
    """Each kind of setting is read from its TOML form."""
    read_town = town(
        """
        title = "Aden"
        [shop]
        bread = 3
        milk = 2
        open = false
        rest = "1h30m"
        cellar = "10MB"
        day = "sunday"
        key = "sesame"
        guests = ["ann", "bob"]
        prices = { tea = "5" }
        limit = 7
        [[branch]]
        name = "north"
        """
    )

    assert read_town == Town(
        Shop(
            bread=3,
            milk=2.0,
            open=False,
            rest=timedelta(minutes=90),
            cellar=10 * 1024**2,
            day="sunday",
            key=Secret("sesame"),
            guests=("ann", "bob"),
            prices={"tea": Secret("5")},
            limit=7,
        ),
        (Branch("north"),),
        "Aden",
    )


def test_every_kind_of_value_from_the_environment(town: Any) -> None:
    """Each kind of setting is read from a variable, which wins over the file."""
    read_town = town(
        '[shop]\nbread = 1\nlimit = 3\n[[branch]]\nname = "north-1"',
        DLR_TITLE="8080",
        DLR_SHOP_BREAD="3",
        DLR_SHOP_MILK="2.25",
        DLR_SHOP_OPEN="false",
        DLR_SHOP_REST="500ms",
        DLR_SHOP_CELLAR="2000",
        DLR_SHOP_DAY="sunday",
        DLR_SHOP_KEY="sesame",
        DLR_SHOP_GUESTS="ann, bob",
        DLR_SHOP_PRICES="tea=5, rye=a=b",
        DLR_SHOP_LIMIT="",
        DLR_BRANCH_NORTH_1_ADDRESS="here",
    )

    assert read_town == Town(
        Shop(
            bread=3,
            milk=2.25,
            open=False,
            rest=timedelta(milliseconds=500),
            cellar=2000,
            day="sunday",
            key=Secret("sesame"),
            guests=("ann", "bob"),
            prices={"tea": Secret("5"), "rye": Secret("a=b")},
        ),
        (Branch("north-1", "here"),),
        "8080",
    )
    assert type(read_town.title) is str


def test_entries_from_the_environment_alone(town: Any) -> None:
    """A container had no file, and entries of arrays came from the file only. A list of names adds
    those that the file does not have, and their settings are variables like all others."""
    read_town = town(
        '[[branch]]\nname = "north"\naddress = "there"',
        DLR_BRANCH_NAMES="north, south-2,East",
        DLR_BRANCH_SOUTH_2_ADDRESS="here",
        DLR_BRANCH_EAST_LAST="3s",
    )

    assert read_town.branch == (
        Branch("north", "there"),
        Branch("south-2", "here"),
        Branch("East", last=timedelta(seconds=3)),
    )
    assert town(DLR_BRANCH_NAMES="") == Town()


def test_faults_of_entries_from_the_environment(town: Any) -> None:
    """What such an entry lacks, and a name that is none, is told by its variable. A mistyped name
    makes no entry of its own."""
    assert faults_of(
        town,
        DLR_BRANCH_NAMES="a b,n",
        DLR_BRANCH_N_LAST="1ms",
        DLR_BRANCH_M_PIN="1234",
        DLR_BRANCH_N_PIN="twelve",
    ) == (
        'DLR_BRANCH_NAMES: expected a name without blanks, got "a b"',
        "DLR_BRANCH_N_PIN: expected a text of 4 digits, got a text of 6 characters",
        "DLR_BRANCH_M_PIN: there is no such setting; did you mean DLR_BRANCH_N_PIN?",
    )
    assert faults_of(town, "branch = 3", DLR_BRANCH_NAMES="n") == (
        "town.toml: branch: expected tables headed [[branch]], got 3",
    )


def test_all_faults_at_once(town: Any) -> None:
    """Every fault of file and environment is told in one error, each with its place."""
    faults = faults_of(
        town,
        """
        [shop]
        braed = 2
        milk = "much"
        open = 1
        day = "friday"
        guests = ["ann", 5]
        rest = "-5s"
        cellar = "big"
        limit = 0
        prices = 3
        [[branch]]
        name = "a b"
        [[branch]]
        first = "9s"
        name = "n"
        [[branch]]
        address = 2024-01-01
        name = "n"
        [[branch]]
        """,
        DLR_SHOP_BREAD="many",
        DLR_SHOP_BREDA="1",
        DLR_BRANCH_SOUTH_PIN="1",
    )

    assert faults == (
        'town.toml: shop.braed: there is no such setting; did you mean "bread"?',
        'DLR_SHOP_BREAD: expected an integer from 1 to 9, got "many"',
        'town.toml: shop.milk: expected a number, got "much"',
        "town.toml: shop.open: expected true or false, got 1",
        'town.toml: shop.rest: expected a duration such as 10s, got "-5s"',
        'town.toml: shop.cellar: expected a size such as 10MB, got "big"',
        'town.toml: shop.day: expected "monday" or "sunday", got "friday"',
        "town.toml: shop.guests[1]: expected a text, got 5",
        "town.toml: shop.prices: expected a table, got 3",
        "town.toml: shop.limit: expected an integer of at least 1, got 0",
        'town.toml: branch[0].name: expected a name without blanks, got "a b"',
        "town.toml: branch[1].last: expected not to be before first",
        "town.toml: branch[2].address: expected a text, got a date or time",
        "town.toml: branch[3].name: expected a name without blanks, got nothing",
        "town.toml: branch[2].name: expected a name of its own",
        "DLR_BRANCH_SOUTH_PIN: there is no such setting; "
        "a variable sets only entries that the file has or DLR_BRANCH_NAMES lists",
        "DLR_SHOP_BREDA: there is no such setting; did you mean DLR_SHOP_BREAD?",
    )


def test_error_text_is_the_lines(town: Any) -> None:
    """The error's text is its faults, one a line."""
    with pytest.raises(ConfigurationError) as caught:
        town("x = 1\ny = 2")

    assert str(caught.value).splitlines() == list(caught.value.faults)
    assert len(caught.value.faults) == 2


def test_check_across_names_the_variable(town: Any) -> None:
    """A check across settings names the variable when the value came from there."""
    text = '[[branch]]\nname = "n"'

    assert faults_of(town, text, DLR_BRANCH_N_LAST="1ms") == (
        "DLR_BRANCH_N_LAST: expected not to be before first",
    )


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("shop = 3", "shop: expected a table, got 3"),
        ("branch = 3", "branch: expected tables headed [[branch]], got 3"),
        ('[branch]\nname = "n"', "branch: expected tables headed [[branch]], got a table"),
        ("branch = [3]", "branch[0]: expected a table, got 3"),
        ("[shop]\nbread = true", "shop.bread: expected an integer from 1 to 9, got true"),
        ('[shop]\nbread = "3"', 'shop.bread: expected an integer from 1 to 9, got "3"'),
        ("[shop]\nmilk = nan", "shop.milk: expected a number, got nan"),
        ("[shop]\nmilk = 1" + "0" * 400, "shop.milk: expected a number, got 1" + "0" * 400),
        ("[shop]\nguests = 'ann'", 'shop.guests: expected a list, got "ann"'),
        ("'a b' = 1", '"a b": there is no such setting'),
    ],
)
def test_faults_of_the_file(town: Any, text: str, fault: str) -> None:
    """What has the wrong shape or type is told where it stands."""
    assert faults_of(town, text) == (f"town.toml: {fault}",)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("a = ", "line 1, column 5: invalid value"),
        ("[shop]\nbread = = 3", "line 2, column 9: invalid value"),
        ("\n\nx = [1,\n2", "line 4, column 2: unclosed array"),
        ("x = " + "9" * 5000, "it has a number that is too long"),
    ],
)
def test_syntax_error(town: Any, text: str, fault: str) -> None:
    """What is not TOML is told in one line with file, line and column."""
    assert faults_of(town, text, DLR_NONSENSE="1") == (f"town.toml: {fault}",)


def test_file_that_is_not_utf8(tmp_path: Path) -> None:
    """Bytes that are not UTF-8 are told with their place."""
    file = tmp_path / "town.toml"
    file.write_bytes(b'title = "a"\n# \xe4')

    with pytest.raises(ConfigurationError, match="line 2, column 3: expected UTF-8"):
        read(Town, file, {})


def test_file_of_a_windows_editor(tmp_path: Path) -> None:
    """A byte order mark and CRLF are no part of the settings."""
    file = tmp_path / "town.toml"
    file.write_bytes(b'\xef\xbb\xbftitle = "a"\r\n')

    assert read(Town, file, {}).title == "a"


def test_file_that_is_not_there(tmp_path: Path) -> None:
    """A file that was named and is missing, or cannot be read, is a fault."""
    with pytest.raises(ConfigurationError, match=r"none\.toml: there is no such file"):
        read(Town, tmp_path / "none.toml", {})
    with pytest.raises(ConfigurationError, match="cannot be read: Is a directory"):
        read(Town, tmp_path, {})


def test_variables_of_the_command_line(town: Any) -> None:
    """The command line's own variables are no settings, and no faults."""
    assert town("", DLR_CONFIG="x", DLR_DATABASE="y", DLR_DEBUG="1") == Town()


def test_variable_of_two_entries(town: Any) -> None:
    """A variable that two names share sets neither of them."""
    text = '[[branch]]\nname = "a-b"\n[[branch]]\nname = "a.b"'

    assert faults_of(town, text, DLR_BRANCH_A_B_ADDRESS="x") == (
        "DLR_BRANCH_A_B_ADDRESS: cannot be told apart, "
        "it names branch[0].address and branch[1].address",
    )


def test_name_of_an_entry_is_not_overridden(town: Any) -> None:
    """The name of an entry is what variables find it by: they do not change it."""
    (fault,) = faults_of(town, '[[branch]]\nname = "n"', DLR_BRANCH_N_NAME="x")

    assert fault.startswith("DLR_BRANCH_N_NAME: there is no such setting")


def test_variable_below_something_else(town: Any) -> None:
    """A variable inside what is no table hides nothing: the file's fault is told."""
    assert faults_of(town, "shop = 3", DLR_SHOP_BREAD="1") == (
        "town.toml: shop: expected a table, got 3",
    )


def test_secret_is_printed_as_set() -> None:
    """Only `reveal` gives a secret away."""
    secret = Secret("sesame")

    assert (str(secret), repr(secret), f"{secret}") == ("set", "set", "set")
    assert "sesame" not in repr(Shop(key=secret, prices={"tea": secret}))
    assert secret.reveal() == "sesame"
    assert secret == Secret("sesame") != Secret("other")


def test_faults_keep_secrets(town: Any) -> None:
    """The fault of a secret says what kind of thing came, not what."""
    text = '[[branch]]\nname = "n"\npin = "sesame"\n[[branch]]\nname = "o"\npin = 4711'

    assert faults_of(town, text, DLR_SHOP_PRICES="sesame") == (
        "DLR_SHOP_PRICES: expected name=value, name=value …, got a text of 6 characters",
        "town.toml: branch[0].pin: expected a text of 4 digits, got a text of 6 characters",
        "town.toml: branch[1].pin: expected a text of 4 digits, got a value of another kind",
    )


def test_effective_values() -> None:
    """The effective values are printed as the file would have them, without secrets."""
    town = Town(
        Shop(key=Secret("sesame"), prices={"tea": Secret("5")}, guests=("ann", "bob")),
        (Branch("north", "https://me:sesame@host/x?token=1"), Branch("a.b")),
    )

    assert effective(town) == [
        ("shop.bread", "2"),
        ("shop.milk", "1.5"),
        ("shop.open", "true"),
        ("shop.rest", "5m"),
        ("shop.cellar", "1KB"),
        ("shop.day", "monday"),
        ("shop.key", "set"),
        ("shop.guests", "[ann, bob]"),
        ("shop.prices.tea", "set"),
        ("shop.limit", "not set"),
        ("branch.north.name", "north"),
        ("branch.north.address", "https://host/x?…"),
        ("branch.north.first", "1s"),
        ("branch.north.last", "2s"),
        ("branch.north.pin", "not set"),
        ('branch."a.b".name', "a.b"),
        ('branch."a.b".address', ""),
        ('branch."a.b".first', "1s"),
        ('branch."a.b".last', "2s"),
        ('branch."a.b".pin', "not set"),
        ("title", "town"),
    ]


def test_effective_values_of_empty_things() -> None:
    """What is empty has a line too."""
    lines = dict(effective(Town()))

    assert (lines["branch"], lines["shop.prices"], lines["shop.guests"]) == ("[]", "{}", "[]")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0s", timedelta()),
        ("500ms", timedelta(milliseconds=500)),
        ("10s", timedelta(seconds=10)),
        ("2m", timedelta(minutes=2)),
        ("1h30m", timedelta(minutes=90)),
        ("90d", timedelta(days=90)),
        ("1.5s", timedelta(milliseconds=1500)),
        ("0.05ms", timedelta(microseconds=50)),
        ("1d17h30m", timedelta(minutes=2490)),
    ],
)
def test_duration(text: str, value: timedelta) -> None:
    """Durations are read as written and written as read."""
    assert duration(text) == value
    assert duration_text(value) == text


@pytest.mark.parametrize(
    "text", ["", "10", "s", "-5s", "1s1m", "1s1s", "10 s", "1.s", "1w", "0.0001ms", "9" * 20 + "d"]
)
def test_not_a_duration(text: str) -> None:
    """What is no duration is refused with an example of one."""
    with pytest.raises(ValueError, match="expected a duration such as 500ms, 10s or 1h30m, got"):
        duration(text)


def test_negative_duration_is_only_written() -> None:
    """A negative duration can be shown to people; no setting can be one."""
    assert duration_text(timedelta(seconds=-90)) == "-1m30s"


@given(st.timedeltas(min_value=timedelta()))
def test_durations_come_back(value: timedelta) -> None:
    """Every duration comes back from its text, to the microsecond."""
    assert duration(duration_text(value)) == value


@given(st.integers(min_value=0, max_value=10**15))
def test_sizes_come_back(value: int) -> None:
    """Every size comes back from its text."""
    assert size(size_text(value)) == value


def test_sizes() -> None:
    """A KB is 1024 bytes, and a plain number is bytes."""
    assert [size(text) for text in ("1KB", "10MB", "1GB", "12", "3B")] == [
        1024,
        10 * 1024**2,
        1024**3,
        12,
        3,
    ]
    with pytest.raises(ValueError, match='expected a size such as 10MB, got "10 megs"'):
        size("10 megs")

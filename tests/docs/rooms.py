"""What the code's imports and strings say of the rooms that the READMEs list, as lists of faults.

A README lists its package's rooms below `## Rooms`, a table whose rows go from the bottom up:

    | room | what is in it |
    |---|---|
    | `retrying/` | … |
    | `queue/sqlite/` | … |

A room is a folder or a file, relative to the package; the longest one that a file's path begins
with is its room. A room may import from itself and from the rows above its own. What else it
imports stands in the same section, each with its reason: "`a.py` → `b/c.py`: why".
"""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

PACKAGES = ("receiver", "dispatcher")

LOOSE_MOST = {"receiver": 8, "dispatcher": 10}
EXCEPTIONS_MOST = 5

SQL_FOLDERS = ("dispatcher/sandbox/store/", "dispatcher/simulation/", "dispatcher/queue/views.py")
"""Beside each folder that is called `sqlite` or `postgres`. The last has queries for users."""

OPENS_DATABASES = "dispatcher/storage.py"

_ROOM = re.compile(r"^\| (`[^|]+`) *\|", re.MULTILINE)
_EXCEPTION = re.compile(r"`([\w./]+\.py)` → `([\w./]+\.py)`[:,]? *([^|;\n]*)")


@dataclass(frozen=True, slots=True)
class Import:
    """One file imports from another; both are paths from the root of the project."""

    file: str
    imported: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line} → {self.imported}"


@dataclass(frozen=True, slots=True)
class Exceptional:
    """An import that a README allows, upward as it is."""

    file: str
    imported: str
    reason: str


@dataclass(frozen=True, slots=True, repr=False)
class House:
    """The packages below `root`, with what their READMEs say."""

    root: Path
    files: Mapping[str, ast.Module]  # by the path from the root
    layers: Mapping[str, Mapping[str, int]]  # by package and room, the number of its row
    exceptions: tuple[Exceptional, ...]
    imports: tuple[Import, ...]

    def room(self, file: str) -> str | None:
        package, _, inner = file.partition("/")
        fits = [
            each
            for each in self.layers[package]
            if inner == each or (each.endswith("/") and inner.startswith(each))
        ]
        return max(fits, key=len, default=None)


def house(root: Path) -> House:
    files = {
        path.relative_to(root).as_posix(): ast.parse(path.read_text("utf-8"))
        for package in PACKAGES
        for path in sorted((root / package).rglob("*.py"))
    }
    sections = {package: _section(root / package / "README.md") for package in PACKAGES}
    exceptions = tuple(
        Exceptional(f"{package}/{file}", f"{package}/{imported}", reason.strip())
        for package, section in sections.items()
        for file, imported, reason in _EXCEPTION.findall(section)
    )
    layers = {package: _layers(section) for package, section in sections.items()}
    return House(root, files, layers, exceptions, tuple(_imports(files)))


def _section(readme: Path) -> str:
    _, mark, rest = readme.read_text("utf-8").partition("\n## Rooms\n")
    assert mark, f"{readme} has no section ## Rooms"
    return rest.split("\n## ")[0]


def _layers(section: str) -> dict[str, int]:
    layers: dict[str, int] = {}
    for number, cell in enumerate(_ROOM.findall(section)):
        for room in re.findall("`([^`]+)`", cell):
            assert room not in layers, f"the room {room} has two rows"
            layers[room] = number
    return layers


# --- imports -----------------------------------------------------------------------------------


def _imports(files: Mapping[str, ast.Module]) -> Iterator[Import]:
    """All of them: at the top, below TYPE_CHECKING and in functions."""
    for file, tree in files.items():
        for node in ast.walk(tree):
            for module in _modules(node, file):
                imported = _file_of(module, files)
                if imported is not None and imported != file:
                    yield Import(file, imported, getattr(node, "lineno", 0))


def _modules(node: ast.AST, file: str) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (each.name for each in node.names)
    elif isinstance(node, ast.ImportFrom):
        above = file.split("/")[: -node.level] if node.level else []
        module = ".".join(filter(None, [*above, node.module]))
        yield from (f"{module}.{each.name}" for each in node.names)


def _file_of(module: str, files: Mapping[str, ast.Module]) -> str | None:
    """The file of a module, or of the module that has this name in it; `None`: not one of ours."""
    path = module.replace(".", "/")
    for name in (path, path.rpartition("/")[0]):
        for candidate in (f"{name}.py", f"{name}/__init__.py"):
            if candidate in files:
                return candidate
    return None


# --- rooms -------------------------------------------------------------------------------------


def without_a_room(house: House) -> list[str]:
    """Files that no row has, and rows that have no file."""
    rooms = {file: house.room(file) for file in house.files}
    used = {(file.split("/")[0], room) for file, room in rooms.items()}
    return [f"{file}: no row of the table has it" for file, room in rooms.items() if not room] + [
        f"{package}/README.md: there is no file in `{room}`"
        for package in PACKAGES
        for room in house.layers[package]
        if (package, room) not in used
    ]


def upward(house: House) -> list[str]:
    """Imports from a room that is not below, but for the exceptions."""
    allowed = {(each.file, each.imported) for each in house.exceptions}
    return [
        f"{each}  ({house.room(each.file)} may not import from {house.room(each.imported)})"
        for each in dict.fromkeys(_upward(house))
        if (each.file, each.imported) not in allowed
    ]


def _upward(house: House) -> Iterator[Import]:
    for each in house.imports:
        package = each.file.split("/")[0]
        if each.imported.split("/")[0] != package:
            continue
        room, other = house.room(each.file), house.room(each.imported)
        if room is None or other is None or room == other:
            continue
        if house.layers[package][other] >= house.layers[package][room]:
            yield each


def bad_exceptions(house: House) -> list[str]:
    """More than there may be, without a reason, or not needed any more."""
    needed = {(each.file, each.imported) for each in _upward(house)}
    faults = [
        f"{each.file} → {each.imported}: {fault}"
        for each in house.exceptions
        for fault in _faults_of(each, needed)
    ]
    if len(house.exceptions) > EXCEPTIONS_MOST:
        faults.append(f"{len(house.exceptions)} exceptions, at most {EXCEPTIONS_MOST}")
    return faults


def _faults_of(each: Exceptional, needed: set[tuple[str, str]]) -> Iterator[str]:
    if len(each.reason.split()) < 3:
        yield "it has no reason"
    if (each.file, each.imported) not in needed:
        yield "it is not needed any more"


def receiver_imports_dispatcher(house: House) -> list[str]:
    return _told(
        each
        for each in house.imports
        if each.file.startswith("receiver/") and each.imported.startswith("dispatcher/")
    )


def _told(imports: Iterable[Import]) -> list[str]:
    """Each once, though it imports several names."""
    return [str(each) for each in dict.fromkeys(imports)]


def circles(house: House) -> list[str]:
    """Groups of files that import each other, over any number of steps."""
    graph: dict[str, set[str]] = defaultdict(set)
    for each in house.imports:
        graph[each.file].add(each.imported)
    return sorted(
        " ↔ ".join(sorted(group)) for group in _components(graph, house.files) if len(group) > 1
    )


def _components(graph: Mapping[str, set[str]], nodes: Iterable[str]) -> Iterator[frozenset[str]]:
    reach = {node: _reachable(graph, node) for node in nodes}
    yield from {
        frozenset({node, *(other for other in reach[node] if node in reach[other])})
        for node in reach
    }


def _reachable(graph: Mapping[str, set[str]], start: str) -> set[str]:
    seen: set[str] = set()
    next_ones = [start]
    while next_ones:
        for other in graph.get(next_ones.pop(), ()):
            if other not in seen:
                seen.add(other)
                next_ones.append(other)
    return seen


def too_many_loose_files(house: House) -> list[str]:
    loose = {
        package: [file for file in house.files if file.rpartition("/")[0] == package]
        for package in PACKAGES
    }
    return [
        f"{package}/: {len(files)} loose files, at most {LOOSE_MOST[package]}: {', '.join(files)}"
        for package, files in loose.items()
        if len(files) > LOOSE_MOST[package]
    ]


# --- SQL ---------------------------------------------------------------------------------------

_STATEMENT = re.compile(
    r"""^\s*(?:
      SELECT\ | INSERT\ | REPLACE\ INTO\ | UPDATE\  | DELETE\ FROM\ | PRAGMA\ | WITH\ \w+.*\ AS\b
    | (?:CREATE|DROP|ALTER)\ \S | ATTACH\ | VACUUM\b | EXPLAIN\ | SAVEPOINT\b | BEGIN\b | COMMIT\b
    | (?:FROM|WHERE|JOIN|LEFT\ JOIN|ON\ CONFLICT|ORDER\ BY|GROUP\ BY|HAVING|RETURNING|UNION)\ \S
    | VALUES\ ?\( | (?i:insert\ into|delete\ from|update\ \w+\ set)\ \w
    | (?i:select)\ .*\ (?i:from)\ \w+\ (?i:where)
    )""",
    re.MULTILINE | re.VERBOSE,
)
_DRIVERS = frozenset({"sqlite3", "aiosqlite", "psycopg"})
_RUNS = re.compile("execute|execute(many|script|_fetchall|_insert)")


def has_sql(file: str) -> bool:
    """Whether this file may hold SQL and see a connection."""
    folders = file.split("/")[:-1]
    return bool({"sqlite", "postgres"} & set(folders)) or file.startswith(SQL_FOLDERS)


def sql_outside(house: House) -> list[str]:
    """Database drivers, SQL text and its execution outside the folders that may hold them."""
    files = [
        path.relative_to(house.root).as_posix()
        for package in PACKAGES
        for path in sorted((house.root / package).rglob("*.sql"))
    ]
    return [f"{file}: a file of SQL" for file in files if not has_sql(file)] + [
        f"{file}:{line} {what}"
        for file, tree in house.files.items()
        if not has_sql(file)
        for line, what in sorted(_sql(tree))
    ]


def _sql(tree: ast.Module) -> Iterator[tuple[int, str]]:
    for line, text in _texts(tree):
        if found := _STATEMENT.search(text):
            yield line, f"SQL text: {text[found.start() :].split()[:4]}"
    for node in ast.walk(tree):
        called = node.func if isinstance(node, ast.Call) else None
        if isinstance(called, ast.Attribute) and _RUNS.fullmatch(called.attr):
            yield called.lineno, f".{called.attr}("
        for module in _modules(node, ""):
            if module.split(".")[0] in _DRIVERS:
                yield getattr(node, "lineno", 0), f"import {module.split('.')[0]}"


def _texts(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Each string with its line; what an f-string puts in is `…`."""
    inside: set[int] = set()
    for node in ast.walk(tree):  # an f-string comes before its parts
        if isinstance(node, ast.JoinedStr):
            inside.update(id(part) for part in node.values)
            parts = (getattr(part, "value", None) for part in node.values)
            yield node.lineno, "".join(each if isinstance(each, str) else "…" for each in parts)
        value = getattr(node, "value", None) if isinstance(node, ast.Constant) else None
        if isinstance(value, str) and id(node) not in inside:
            yield getattr(node, "lineno", 0), value


def adapters_used(house: House) -> list[str]:
    """Imports of a `sqlite` package by others than those and the file that opens databases."""
    return _told(
        each
        for each in house.imports
        if {"sqlite", "postgres"} & set(each.imported.split("/")[:-1])
        and not has_sql(each.file)
        and each.file != OPENS_DATABASES
    )


# --- contract suites ---------------------------------------------------------------------------

SUITES = "tests/contracts"

_ADAPTERS = ("sqlite", "postgres", "database")
"""Parts of the names of modules that know one database."""

_BOUND = frozenset({"database", "database_of", "a_bench", "connection", "tmp_path"})
"""Names under which a test gets at one database, or at its file."""


def bound_suites(house: House) -> list[str]:
    """Contract suites that know which database they run over. Only modules that are called after
    one, the tests and the conftest.py, which name the implementations, may; and the suite of the
    SQL views, which asks each database in SQL."""
    suites = [
        path
        for path in sorted((house.root / SUITES).glob("*.py"))
        if not re.search("^test_|sqlite|postgres|^conftest|^sql_views", path.name)
    ]
    return [
        f"{SUITES}/{path.name}:{line} {what}"
        for path in suites
        for line, what in sorted(_bonds(ast.parse(path.read_text("utf-8"))))
    ]


def _bonds(tree: ast.Module) -> Iterator[tuple[int, str]]:
    yield from _sql(tree)
    for node in ast.walk(tree):
        for module in _modules(node, ""):
            if any(part in module for part in _ADAPTERS):
                yield getattr(node, "lineno", 0), f"import {module}"
        match node:
            case ast.Attribute(attr=name) | ast.Name(id=name) | ast.arg(arg=name):
                if name in _BOUND:
                    yield node.lineno, name

"""A random sample of the mutants that cosmic-ray makes of some modules, the same for the same seed.

cosmic-ray replaces a ``+`` in eleven ways; of such a family one is drawn, so that no site counts eleven
times. Left out is what cannot fail a test for a reason that needs no person: mutants that do not compile, and
those that differ in type annotations alone, which Python does not evaluate in these modules.
"""

from __future__ import annotations

import ast
import hashlib
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import parso
from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.operators.operator import Operator
from cosmic_ray.plugins import get_operator, operator_names


@dataclass(frozen=True)
class Mutant:
    """One change of one file: ``line`` and ``before`` are where and what it was, ``after`` what it became."""

    file: str
    operator: str
    line: int
    before: str
    after: str
    source: str

    @property
    def package(self) -> str:
        return Path(self.file).parts[2]

    @property
    def key(self) -> tuple[str, str, str]:
        """What names the mutant in verdicts.toml: it outlives a change of line numbers."""
        return self.file, self.before, self.after


class RemoveStatement(Operator):  # type: ignore[misc]
    """Replaces a call, a ``raise`` or an augmented assignment that stands alone by ``pass``.

    cosmic-ray has no such operator; a sync, a check or a count that is left out is what it finds.
    """

    def mutation_positions(self, node: parso.tree.NodeOrLeaf) -> Iterator[tuple[object, object]]:
        if node.type != "simple_stmt":
            return
        statement = node.children[0]
        augmented = statement.type == "expr_stmt" and statement.children[1].type == "operator_augassign"
        if augmented or statement.type in ("atom_expr", "raise_stmt", "power"):
            yield statement.start_pos, statement.end_pos

    def mutate(self, node: parso.tree.NodeOrLeaf, index: int) -> parso.tree.NodeOrLeaf:
        prefix = node.children[0].get_first_leaf().prefix
        node.children[0] = parso.parse(f"{prefix}pass")
        return node

    @classmethod
    def examples(cls) -> Sequence[object]:
        return ()


#: Each operator without arguments, by its name.
OPERATORS: dict[str, Operator] = {
    name: get_operator(name)() for name in operator_names() if not get_operator(name).arguments()
} | {"ours/RemoveStatement": RemoveStatement()}


def drawn(files: Sequence[Path], root: Path, seed: int, size: int) -> list[Mutant]:
    """At most ``size`` mutants of these files, in random order."""
    sites = sorted(site for file in files for site in _sites(file, root, seed))
    mutants: list[Mutant] = []
    for chance, file, ways in sites:
        name, occurrence = random.Random(chance).choice(ways)
        if len(mutants) < size and (mutant := _mutant(root / file, root, name, occurrence)):
            mutants.append(mutant)
    return mutants


def _sites(file: Path, root: Path, seed: int) -> Iterator[tuple[str, str, list[tuple[str, int]]]]:
    """Each site of a file with each family of operators that apply there: its chance, file and ways to do so.

    The chance is computed from the site's own line. So a change of the program replaces the mutants of the
    changed lines, and leaves the rest of the sample as it is.
    """
    source = file.read_text(encoding="utf-8")
    name_of_file, lines = str(file.relative_to(root)), source.splitlines()
    families: dict[tuple[tuple[int, int], str], list[tuple[str, int]]] = {}
    seen = dict.fromkeys(OPERATORS, 0)
    for node in ast_nodes(get_ast(source)):
        if node.type in ("name", "newline", "string"):
            continue
        for name, operator in OPERATORS.items():
            for start, _ in operator.mutation_positions(node):
                family = name.rpartition("/")[2].split("_")[0]
                families.setdefault((start, family), []).append((name, seen[name]))
                seen[name] += 1
    repeats: Counter[str] = Counter()
    for ((line, _), family), ways in families.items():
        site = f"{seed} {name_of_file} {family} {lines[line - 1].strip()}"
        repeats[site] += 1
        chance = hashlib.sha256(f"{site} {repeats[site]}".encode()).hexdigest()
        yield chance, name_of_file, ways


def _mutant(file: Path, root: Path, name: str, occurrence: int) -> Mutant | None:
    source = file.read_text(encoding="utf-8")
    try:
        changed = mutate_code(source, OPERATORS[name], occurrence)
        if changed is None or _meaning(changed) == _meaning(source):
            return None
    except (SyntaxError, AttributeError):  # cosmic-ray raises the latter on ``except module.Error``
        return None
    old, new = source.splitlines(), changed.splitlines()
    line = next(n for n, (was, is_) in enumerate(zip(old, new, strict=False), 1) if was != is_)
    tail = 0
    while tail < min(len(old), len(new)) - line and old[-1 - tail] == new[-1 - tail]:
        tail += 1
    return Mutant(
        file=str(file.relative_to(root)),
        operator=name.rpartition("/")[2],
        line=line,
        before=" ".join(text.strip() for text in old[line - 1 : len(old) - tail]),
        after=" ".join(text.strip() for text in new[line - 1 : len(new) - tail]),
        source=changed,
    )


class _WithoutAnnotations(ast.NodeTransformer):
    def visit_arg(self, node: ast.arg) -> ast.arg:
        node.annotation = None
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.returns = None
        return self.generic_visit(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        node.annotation = ast.Constant(None)
        return self.generic_visit(node)


def _meaning(source: str) -> str:
    return ast.dump(_WithoutAnnotations().visit(ast.parse(source)))

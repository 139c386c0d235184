"""All names of one person, to search for what is kept about them."""

import re
from dataclasses import dataclass, field
from pathlib import Path

from irmcore.errors import OperatorError
from irmcore.identity.directory import Directory, names_of
from irmcore.identity.person import Version, normal
from irmcore.operations import person


@dataclass(frozen=True)
class Named:
    """A person by their ``names``; ``object_id`` is "" and ``versions`` empty if the directory has none.

    ``shared`` counts the names that others have had, too, and that are therefore not among ``names``.
    """

    directory: Path
    names: tuple[str, ...]
    object_id: str = ""
    versions: tuple[Version, ...] = ()
    shared: int = 0
    pattern: re.Pattern[str] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "pattern", person.pattern(self.names))

    @property
    def has_left(self) -> bool:
        """Whether the account was deleted."""
        return bool(self.versions) and self.versions[-1].person.deleted

    def known(self) -> bool:
        """Whether the directory still has the person."""
        with Directory(self.directory) as directory:
            return bool(directory.versions_of_name(self.object_id))


def named(path: Path, name: str) -> Named:
    """The person whom ``name`` means. Raises OperatorError if that is in doubt, PeopleError."""
    if path.exists():
        with Directory(path) as directory:
            versions = directory.versions_of_name(name)
            people = {version.person.object_id for version in versions}
            if len(people) > 1:
                raise OperatorError(
                    f"{len(people)} people have had this name",
                    where=str(path),
                    next_step=f"Give the object ID of one of them: {', '.join(sorted(people))}.",
                )
            if people:
                return _known(directory, people.pop(), tuple(versions))
    if name.strip().isdigit():
        raise OperatorError(
            "a number may be anything in a row", next_step="Give the person's user principal name."
        )
    return Named(path, (name.strip(),))


def _known(directory: Directory, object_id: str, versions: tuple[Version, ...]) -> Named:
    names = {name for version in versions for name in names_of(version.person)}
    holders = directory.versions_of_names(names)
    shared = {
        name for name in names if {one.person.object_id for one in holders[normal(name)]} != {object_id}
    }
    return Named(directory.path, tuple(sorted(names - shared)), object_id, versions, len(shared))

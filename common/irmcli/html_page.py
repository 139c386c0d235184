"""The frame of a self-contained HTML page that loads no resource and runs no script, whatever its text."""

import html
from pathlib import Path

from irmcore.errors import ConfigurationError

POLICY = "default-src 'none'; style-src 'unsafe-inline'"


def document(title: str, style: str, body: str) -> str:
    """The page. ``title`` is text and is escaped; ``style`` and ``body`` are markup."""
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        '<meta name="viewport" content="width=device-width">\n'
        f"<title>{html.escape(title)}</title>\n<style>{style}</style>\n</head>\n<body>\n<main>\n{body}\n"
        "</main>\n</body>\n</html>\n"
    )


def write(path: Path, text: str) -> None:
    """Write the page of a command's option `--output`. Raises ConfigurationError."""
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(
            f"the page cannot be written ({error.strerror})",
            where=str(path),
            next_step="Choose another file with --output.",
        ) from None

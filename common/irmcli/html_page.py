"""The frame of an HTML page that is one file: it loads nothing and runs nothing, whatever its texts hold."""

from __future__ import annotations

import html

POLICY = "default-src 'none'; style-src 'unsafe-inline'"


def document(title: str, style: str, body: str) -> str:
    """The page; ``body`` and ``style`` are markup already, ``title`` is text."""
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        '<meta name="viewport" content="width=device-width">\n'
        f"<title>{html.escape(title)}</title>\n<style>{style}</style>\n</head>\n<body>\n<main>\n{body}\n"
        "</main>\n</body>\n</html>\n"
    )

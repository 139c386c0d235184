"""All files of the solution: templates, the portal's form, sources for the content hub, Defender's files."""

from __future__ import annotations

from irmsentinel.content.artefacts import Content
from irmsentinel.packaging import (
    arm,
    content_hub,
    content_hub_sources,
    custom_detections,
    portal_form,
    solution,
)
from irmsentinel.packaging.content_hub import SUPPORT


def package_files(content: Content, version: str, support: str | None = None) -> dict[str, str]:
    """Each file's text by its path. ``support``: a link or an e-mail address to show as the contact.

    The same content gives the same bytes.
    """
    contact = {**SUPPORT, "email" if "@" in support else "link": support} if support else dict(SUPPORT)
    main, form = content_hub.package(content, version, contact), portal_form.portal_form(content)
    files = {
        "azuredeploy.json": arm.text(solution.deployment(content)),
        "createUiDefinition.json": arm.text(form),
        "mainTemplate.json": arm.text(main),
    }
    package = f"{content_hub_sources.BASE}/Package"
    return {
        **files,
        **{f"{package}/{name}": files[name] for name in ("createUiDefinition.json", "mainTemplate.json")},
        **content_hub_sources.sources(content, version, contact),
        **dict(custom_detections.files(content)),
    }

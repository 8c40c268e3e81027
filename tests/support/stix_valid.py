"""What the official validator of OASIS says of a bundle."""

from __future__ import annotations

from stix2validator import ValidationOptions, validate_string

# checks of what one SHOULD do that don't fit: 103 wants random ids (UUIDv4), and ours are the same in each export; 302 wants the hash of
# what is behind a URL, which a node doesn't give
DISABLED = "103,302"


def complaints(text: str, disabled: str = DISABLED) -> list[str]:
    """Errors, and warnings as errors: none of a valid bundle. Custom types and properties outside of extensions, and references of
    relationships that lead out of the bundle, are errors too."""
    options = ValidationOptions(
        version="2.1",
        strict=True,
        strict_types=True,
        strict_properties=True,
        enforce_refs=True,
        disabled=disabled,
        silent=True,
    )
    result = validate_string(text, options)
    found = [str(one) for one in [*result.errors, *result.warnings]]
    assert result.is_valid or found
    return found

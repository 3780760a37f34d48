"""The JSON Schema of gated.toml, for editors: the file's own tables and every installed driver's settings."""

from __future__ import annotations

from typing import Any

from gated import registry
from gated.config_file import GatedFile

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def schema() -> dict[str, Any]:
    """The schema. A driver that cannot be imported is left out: its library is not installed here."""
    whole = GatedFile.model_json_schema()
    definitions = whole["$defs"]
    definitions.pop("DeviceTable")
    devices = []
    for name in registry.names():
        try:
            settings = registry.find(name).settings.model_json_schema(ref_template="#/$defs/{model}")
        except registry.BrokenDriver:
            continue
        definitions.update(settings.pop("$defs", {}))
        settings["properties"] = {"driver": {"const": name}, **settings.get("properties", {})}
        settings["required"] = ["driver", *settings.get("required", [])]
        settings["title"] = name
        definitions[name] = settings
        devices.append({"$ref": f"#/$defs/{name}"})
    whole["properties"]["devices"] = {
        "title": "Devices",
        "type": "object",
        "additionalProperties": {"oneOf": devices},
    }
    return {"$schema": DIALECT, **whole, "title": "gated.toml"}

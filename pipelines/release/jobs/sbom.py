"""The software bill of materials of a release (the toolchain sbom): CycloneDX 1.6, as JSON.

params: model, version, description, time (Unix seconds); files: rows {name, sha256}; libraries:
rows {name, version, toolchains: [names]}; tools: rows {name, version}.

Writes out/sbom.cdx.json. The serial number is made from the files' digests, and the time is given:
the same release gives the same bytes.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any

from cyclonedx.model import HashAlgorithm, HashType, Property
from cyclonedx.model.bom import Bom, BomMetaData
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.tool import ToolRepository
from cyclonedx.output import make_outputter
from cyclonedx.schema import OutputFormat, SchemaVersion
from packageurl import PackageURL

from pipelines.run.jobs.job import Job


def run(job: Job) -> None:
    told = job.params
    digests = " ".join(row["sha256"] for row in told["files"])
    model = Component(
        name=told["model"],
        version=told["version"],
        description=told["description"] or None,
        type=ComponentType.MACHINE_LEARNING_MODEL,
        bom_ref=told["model"],
    )
    files = [_file(row) for row in told["files"]]
    libraries = [_library(row) for row in told["libraries"]]
    bom = Bom(
        components=[*files, *libraries],
        serial_number=uuid.uuid5(uuid.NAMESPACE_URL, f"{told['version']} {digests}"),
        metadata=BomMetaData(
            component=model,
            timestamp=datetime.fromtimestamp(told["time"], timezone.utc),
            tools=ToolRepository(components=[_tool(row) for row in told["tools"]]),
        ),
    )
    bom.register_dependency(model, [*files, *libraries])
    text = make_outputter(bom, OutputFormat.JSON, SchemaVersion.V1_6).output_as_string(indent=1)
    job.out.mkdir(exist_ok=True)
    (job.out / "sbom.cdx.json").write_text(text + "\n", encoding="utf-8")


def _file(row: Mapping[str, Any]) -> Component:
    return Component(
        name=row["name"],
        type=ComponentType.FILE,
        bom_ref=f"file:{row['name']}",
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=row["sha256"])],
    )


def _library(row: Mapping[str, Any]) -> Component:
    purl = PackageURL("pypi", name=row["name"], version=row["version"])
    toolchains = (Property(name="npumake:toolchain", value=name) for name in row["toolchains"])
    return Component(
        name=row["name"],
        version=row["version"],
        type=ComponentType.LIBRARY,
        purl=purl,
        bom_ref=str(purl),
        properties=toolchains,
    )


def _tool(row: Mapping[str, Any]) -> Component:
    return Component(name=row["name"], version=row["version"], type=ComponentType.APPLICATION)

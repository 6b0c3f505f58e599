"""The software bill of materials of a release (the toolchain sbom): CycloneDX 1.6, as JSON.

Writes out/sbom.cdx.json. The serial number is made from the files' digests, and the time is given:
the same release gives the same bytes.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime, timezone

from cyclonedx.model import HashAlgorithm, HashType, Property
from cyclonedx.model.bom import Bom, BomMetaData
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.tool import ToolRepository
from cyclonedx.output import make_outputter
from cyclonedx.schema import OutputFormat, SchemaVersion
from packageurl import PackageURL

from pipelines.run.jobs.job import Job


@dataclass(frozen=True)
class File:
    name: str
    sha256: str


@dataclass(frozen=True)
class Library:
    """toolchains: names of those that it is in."""

    name: str
    version: str
    toolchains: tuple[str, ...]


@dataclass(frozen=True)
class Tool:
    name: str
    version: str


@dataclass(frozen=True)
class SbomParams:
    """time: Unix seconds."""

    model: str
    version: str
    description: str
    time: int
    files: tuple[File, ...]
    libraries: tuple[Library, ...]
    tools: tuple[Tool, ...]


def run(job: Job[SbomParams]) -> None:
    told = job.params
    digests = " ".join(row.sha256 for row in told.files)
    model = Component(
        name=told.model,
        version=told.version,
        description=told.description or None,
        type=ComponentType.MACHINE_LEARNING_MODEL,
        bom_ref=told.model,
    )
    files = [_file(row) for row in told.files]
    libraries = [_library(row) for row in told.libraries]
    bom = Bom(
        components=[*files, *libraries],
        serial_number=uuid.uuid5(uuid.NAMESPACE_URL, f"{told.version} {digests}"),
        metadata=BomMetaData(
            component=model,
            timestamp=datetime.fromtimestamp(told.time, timezone.utc),
            tools=ToolRepository(components=[_tool(row) for row in told.tools]),
        ),
    )
    bom.register_dependency(model, [*files, *libraries])
    text = make_outputter(bom, OutputFormat.JSON, SchemaVersion.V1_6).output_as_string(indent=1)
    job.out.mkdir(exist_ok=True)
    (job.out / "sbom.cdx.json").write_text(text + "\n", encoding="utf-8")


def _file(row: File) -> Component:
    return Component(
        name=row.name,
        type=ComponentType.FILE,
        bom_ref=f"file:{row.name}",
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=row.sha256)],
    )


def _library(row: Library) -> Component:
    purl = PackageURL("pypi", name=row.name, version=row.version)
    toolchains = (Property(name="npumake:toolchain", value=name) for name in row.toolchains)
    return Component(
        name=row.name,
        version=row.version,
        type=ComponentType.LIBRARY,
        purl=purl,
        bom_ref=str(purl),
        properties=toolchains,
    )


def _tool(row: Tool) -> Component:
    return Component(name=row.name, version=row.version, type=ComponentType.APPLICATION)

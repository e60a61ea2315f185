# expect: builds.py:1:1: has no pydantic class 'Builds'; did you mean 'Build'?
"""What a result looks like."""

from typing import Literal

from pydantic import BaseModel, Field


class Package(BaseModel):
    """A package."""

    name: str = Field(max_length=99)
    version: str | None = Field(None, max_length=40)
    ecosystem: str = Field("", max_length=20)


class Build(BaseModel):
    """Why a build failed."""

    category: Literal["dependency", "test", "timeout"]
    package: Package | None = None
    evidence: list[str] = Field(default_factory=list, max_length=3)
    severity: Literal["critical", "minor"]
    summary: str = Field(max_length=200)

"""Ingest: files and jobs in, searchable documents out."""

from holdfast.rag.ingest.ingestor import Ingestor
from holdfast.rag.ingest.report import IngestReport, Progress

__all__ = ["IngestReport", "Ingestor", "Progress"]

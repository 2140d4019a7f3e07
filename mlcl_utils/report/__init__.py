"""The report: a site of plain files over a folder of results, to be opened from the file system or published.

It reads what studies have left (:mod:`mlcl_utils.report.results`, :mod:`mlcl_utils.report.claims`) and writes pages
(:mod:`mlcl_utils.report.site`). Results that are incomplete, damaged or of another version are shown as what they are.
"""

from mlcl_utils.report.results import Results, find
from mlcl_utils.report.site import Site, build

__all__ = ["Results", "Site", "build", "find"]

"""Forms of a report, one file each: `render(report)` gives the text of a report that `results.report_json` made."""

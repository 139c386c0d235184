"""The Sentinel content as files: KQL artefacts, aggregations, rules, workbooks, tables, samples."""

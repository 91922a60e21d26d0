"""General utilities: files, processes, parallel execution, downloads and validation of JSON."""

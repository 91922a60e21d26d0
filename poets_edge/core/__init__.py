"""General utilities: files, processes, parallel execution, downloads and JSON validation."""

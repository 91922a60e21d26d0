"""General utilities: files, caches, helper processes, parallel execution, downloads and JSON validation."""

"""Things to try the program with: drawn photos, the codelab's photos and scripts, the quickstart."""

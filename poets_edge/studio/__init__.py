"""Local web interface ("studio"): a server for one project folder, and the web page that it serves.

A project is a folder with one folder of photos per class. The studio keeps its own files in the hidden folder
`.poets-edge` inside the project. Scans for photos skip the hidden folder, so `poets-edge` commands can use the same
project folder.
"""

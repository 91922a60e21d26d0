"""Local web interface: a server for one project folder, and the page that it serves.

A project is a folder with one folder of photos per class. The studio keeps its own files in the hidden folder
`.poets-edge` inside the project. Scans for photos skip it, so the command line can use the same folder.
"""

"""Local web interface: a server for one project folder, and the page that it serves.

A project is a folder with one folder of photos per class. The files of the studio are in its hidden folder
`.poets-edge`, which scans of photo folders skip, so the command line and the studio work on one folder.
"""

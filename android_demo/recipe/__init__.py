"""Building the app without Gradle, from Maven Central and Debian packages alone; see ../build.py."""

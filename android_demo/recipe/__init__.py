"""Build the app without Gradle, with libraries from Maven Central and Debian packages; see ../build.py."""

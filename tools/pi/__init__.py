"""The system of a Raspberry Pi in a folder, under emulation: what the tests of that device run on."""

"""The commands, one file for each: settings in, an exit status out; here the other packages are put together."""

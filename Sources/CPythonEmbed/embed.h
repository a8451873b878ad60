// Empty on purpose: depending on this module links libpython (through pkg-config's python3-embed). Only the
// executable does. The extension module must not: it uses the interpreter that loads it.

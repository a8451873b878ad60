// Nothing to call: what is here stands in the test program where it runs under the thread sanitizer.

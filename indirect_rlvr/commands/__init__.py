"""The commands that have files of their own: arguments in, one function call of the package, text out."""

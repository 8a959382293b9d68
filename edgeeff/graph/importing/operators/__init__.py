"""How each operator of a file is translated. A file's ``OPERATORS`` says which it knows."""

"""What a model's files hold, read as bytes: no framework is imported and nothing of a file is executed to know it.

`probe` names a file's format by its leading bytes, `protobuf` walks through messages, `pickles` finds what a pickle
would call, `gguf` reads the header of such a file, `requirements` reads the pip requirements beside a model.
"""

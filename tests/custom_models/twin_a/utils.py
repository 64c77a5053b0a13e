def shift(value):
    return value + 1

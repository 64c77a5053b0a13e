def shift(value):
    return value + 100

"""The description of the REST routes, made anew whenever it is asked for: it names the models that there are.

request_examples   a request for each model, made from its signature, that the model answers
schemas            what bodies look like, and the errors
operations         the routes, in a table
document           all of it together
"""

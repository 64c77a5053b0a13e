"""A page that shows every model as it is now, and sends requests that work: `/console`.

overview    what the page asks for every second: states, versions, counters, buckets of latencies; rates are made there
details     what it asks for when somebody looks at one model: signature, examples, which ways of asking there are
console_pages  the routes, and the headers that keep the page to its own origin
assets/     the page itself: plain HTML, CSS and ECMAScript modules, no build step, nothing from elsewhere
"""

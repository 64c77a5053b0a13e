-- wrk posts one body, from the file named after `--`, and prints what it counted as one line of JSON.

function init(arguments)
   local file = assert(io.open(arguments[1], "rb"))
   wrk.method = "POST"
   wrk.body = file:read("*a")
   file:close()
end

-- Latencies in microseconds. `status` counts answers of 400 and above.
local LINE = '{"requests": %d, "microseconds": %d, "p50": %.1f, "p99": %.1f, "max": %.1f, '
   .. '"connect": %d, "read": %d, "write": %d, "status": %d, "timeout": %d}\n'

function done(summary, latency, _)
   local errors = summary.errors
   io.write(LINE:format(
      summary.requests, summary.duration,
      latency:percentile(50), latency:percentile(99), latency.max,
      errors.connect, errors.read, errors.write, errors.status, errors.timeout
   ))
end

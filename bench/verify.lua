-- What verifying costs in nginx: microseconds a request more than a handler that only reads the body, with one worker, a body of
-- 743 bytes, and wrk on the same machine. The two take turns. Usage: script/bench verify [seconds of a turn]
local nginx_app = require "spec.support.nginx_app"
local shell = require "spec.support.shell"
local webhook = require "webhook"

local SECONDS = tonumber(arg[1]) or 1
local TURNS = 15
local CONNECTIONS = 16
local LIMIT = 10 -- microseconds
local SECRET, BODY = "It's a Secret to Everybody", ("x"):rep(743)

local HTTP = [[
  keepalive_requests 1000000000;
  init_worker_by_lua_block {
    local resty = require "webhook.resty"
    package.loaded.bench = {
      read = function() ngx.req.read_body() ngx.ctx.body = ngx.req.get_body_data() end,
      verify = resty.verify { scheme = "github", secret = "It's a Secret to Everybody" },
    }
  }
  server {
    listen 127.0.0.1:$PORT;
    location = /read {
      access_by_lua_block { require("bench").read() }
      content_by_lua_block { ngx.print("ok") }
    }
    location = /verify {
      access_by_lua_block { require("bench").verify() }
      content_by_lua_block { ngx.print("ok") }
    }
  }
]]

-- The request as wrk sends it, and proof that each answer is a good one.
local SCRIPT = [[
wrk.method = "POST"
wrk.body = %q
wrk.headers["Content-Type"] = "application/json"
wrk.headers["User-Agent"] = "GitHub-Hookshot/0000000"
wrk.headers["Accept"] = "*/*"
wrk.headers["X-GitHub-Event"] = "push"
wrk.headers["X-GitHub-Delivery"] = "72d3162e-cc78-11e3-81ab-4c9367dc0958"
wrk.headers["X-Hub-Signature-256"] = %q
function done(summary)
  local errors = summary.errors
  local bad = errors.connect + errors.read + errors.write + errors.status + errors.timeout
  io.write(("RESULT %%d %%d %%d\n"):format(summary.requests, summary.duration, bad))
end
]]

local function median(list)
  table.sort(list)
  return list[math.floor((#list + 1) / 2)]
end

local TICKS = 100 -- of /proc, a second

-- Seconds of processor time that nginx's worker has used.
local function processor_seconds(app)
  local worker = app:workers()[1]
  local fields = {}
  for field in shell.read_file("/proc/" .. worker .. "/stat"):gsub("^.*%) ", ""):gmatch("%S+") do fields[#fields + 1] = field end
  return (fields[12] + fields[13]) / TICKS
end

-- Microseconds of a request by the clock, and of the worker's processor time.
local function measure(app, path, seconds)
  local before = processor_seconds(app)
  local output = shell.check(("wrk -t1 -c%d -d%ds -s %s %s"):format(
    CONNECTIONS, seconds, shell.quote(app.folder:file("wrk.lua")), shell.quote(app.url .. path)))
  local requests, microseconds, bad = output:match("RESULT (%d+) (%d+) (%d+)")
  assert(tonumber(bad) == 0, output)
  return microseconds / requests, (processor_seconds(app) - before) / requests * 1e6
end

local signature = assert(webhook.sign("github", SECRET, BODY))["X-Hub-Signature-256"]
local app = nginx_app.start { http = HTTP, files = { ["wrk.lua"] = SCRIPT:format(BODY, signature) } }
local clock, processor = { read = {}, verify = {} }, { read = {}, verify = {} }
for turn = 0, TURNS do -- the first, for the compiler to warm up, is written over
  for _, path in ipairs { "read", "verify" } do
    local at = math.max(turn, 1)
    clock[path][at], processor[path][at] = measure(app, "/" .. path, SECONDS)
  end
end
app:stop()

local function best(list) return math.min((table.unpack or unpack)(list)) end

local function row(what, name)
  print(("%-20s %8.0f requests/s, %5.1f us of processor time each"):format(
    what, 1e6 / median(clock[name]), best(processor[name])))
end

row("only reads the body", "read")
row("verifies", "verify")
-- The best turns of each, because other work on the machine only ever slows down; and processor time, because it takes turns
-- with us by the clock.
local cost = best(processor.verify) - best(processor.read)
print(("verifying costs %.1f us of processor time (at most %d), and %.1f us by the clock"):format(
  cost, LIMIT, best(clock.verify) - best(clock.read)))
if cost > LIMIT then os.exit(1) end

-- What sending costs an nginx with two workers under a steady load, each request emitting one durable event: the times of the
-- requests beside those of the same location that does not emit, how long the workers' event loops were held, whether every
-- event arrived, what an idle worker uses, and whether a receiver that hangs shows. Usage:
-- script/bench nginx [seconds of load] [each | memory]. With `each` every worker has a database of its own; with `memory` it
-- is in a memory file system: what is left when the disk takes no time.
local counting_receiver = require "spec.support.counting_receiver"
local http = require "socket.http"
local nginx_app = require "spec.support.nginx_app"
local shell = require "spec.support.shell"
local socket = require "socket"
local wait = require "spec.support.wait"

local SECONDS = tonumber(arg[1]) or 30
local EACH = arg[2] == "each"
local WHERE = { [""] = "one database", each = "a database each", memory = "one database in memory" }
local RATE = 2000 -- requests a second
local CONNECTIONS = 64
local TURNS = 3 -- into which the load is cut, with and without emitting in turn
local QUIET_SECONDS, IDLE_SECONDS, DISK_SECONDS = 3, 5, 2
local ARRIVE_SECONDS = 60
local LIMITS = { p99 = 2, held = 5, idle = 0.5 } -- milliseconds more than without, milliseconds, percent of a core

local SENDER = [[
  lua_shared_dict state 1m;
  keepalive_requests 1000000000;
  init_worker_by_lua_block { require("bench").start("$FOLDER/db/webhooks" .. $SUFFIX .. ".db", "$RECEIVER", $FIRST) }
  exit_worker_by_lua_block { require("bench").stop() }
  server {
    listen 127.0.0.1:$PORT reuseport;
    location = /run {
      content_by_lua_block { require("bench").run() }
    }
    location / {
      content_by_lua_block { require("bench").content() }
    }
  }
]]

-- Inside the workers.
local BENCH = [=[
local core = require "webhook.core"
local webhook = require "webhook"
local bench = {}
local state = ngx.shared.state
local LIMIT = 5 -- milliseconds

-- Nanoseconds that this thread was ready to run while others had the processors: that is the machine's load, not ours.
local schedstat
local function waited()
  if not schedstat then
    schedstat = io.open("/proc/thread-self/schedstat")
    schedstat:setvbuf("no")
  end
  schedstat:seek("set")
  return tonumber(schedstat:read(64):match("^%d+ (%d+)"))
end

local function raise(name, value)
  if value > (state:get(name) or 0) then state:set(name, value) end
end

-- A timer of a millisecond: what lies beyond it between two turns is how long something held the event loop.
local function watch(premature)
  if premature then return end
  local last_waited, last = waited(), core.seconds()
  while not ngx.worker.exiting() and state:get("watching") do
    ngx.sleep(0.001)
    -- Asked on both sides of the clock: what the thread waited in between belongs to one of the two gaps.
    local now_waited, now = waited(), core.seconds()
    local gap = (now - last - 0.001) * 1000
    local held = gap - (waited() - last_waited) / 1e6
    raise("gap", gap)
    raise("held", held)
    if held > LIMIT then state:incr("long", 1, 0) end
    last_waited, last = now_waited, now
  end
end

-- The first that has the database makes the webhook.
function bench.start(path, url, first)
  bench.hooks = assert(webhook.open(path, { allow_networks = { "127.0.0.0/8" } }))
  if first then
    assert(bench.hooks.webhooks:create { name = "w", app_id = "app", url = url, events = { "*" } })
  end
  state:set("watching", true)
  assert(ngx.timer.at(0, watch))
end

function bench.stop() bench.hooks:close(2) end

function bench.run()
  ngx.req.read_body()
  local result = assert(loadstring("local hooks, state = ... " .. ngx.req.get_body_data()))(bench.hooks, state)
  ngx.print(tostring(result))
end

-- PREFIX/bare and PREFIX/emit: the same but for the emit.
function bench.content()
  local prefix, what = ngx.var.uri:match("^/(.*)/(%a+)$")
  local id = prefix .. "-" .. ngx.var.arg_n
  local event = webhook.events.job_finished { id = id, appId = "app", status = "failed" }
  if what == "emit" then assert(bench.hooks:emit(event)) end
  ngx.header["Content-Length"] = #id
  ngx.print(id)
end

return bench
]=]

-- The end of what nginx has logged.
local function log(app) return app:log():sub(-2000) end

local function run(app, code)
  local body, status = http.request(app.url .. "/run", code)
  assert(status == 200, log(app))
  return body
end

local function percentile(sorted, part) return sorted[math.max(1, math.ceil(#sorted * part))] or 0 end

-- One turn of the load. @return the times of its answers are added to `times`, their ids to `ids`
local function load(app, path, seconds, times, ids)
  local file = app.folder:file("answers")
  local output = shell.check(("build/load %d %s %d %g %d %s"):format(app.port, path, RATE, seconds, CONNECTIONS, shell.quote(file)))
  assert(output:find(" bad=0 cut=0 ", 1, true), output .. log(app))
  for line in io.lines(file) do
    local time, id = line:match("^(%S+) (.*)$")
    times[#times + 1] = tonumber(time)
    ids[#ids + 1] = id
  end
end

-- Each turn may meet another disk: other machines use it too.
local function print_disk(app)
  local p50, p99 = shell.check(("build/disk %s %g"):format(shell.quote(app.folder:file("db/disk")), DISK_SECONDS)):match("(%S+) (%S+)")
  print(("%-29s a synced write p50 %6.2f ms  p99 %6.2f ms"):format("the disk alone", p50, p99))
end

local function load_average() return (shell.read_file("/proc/loadavg"):match("^%S+")) end

local function print_times(what, times)
  table.sort(times)
  print(("%-29s requests p50 %6.2f ms  p99 %6.2f ms  p99.9 %6.2f ms  max %6.2f ms"):format(
    what, percentile(times, 0.5), percentile(times, 0.99), percentile(times, 0.999), times[#times] or 0))
  return percentile(times, 0.99)
end

-- Since the last call: the longest gap of the timer, what of it the worker was not waiting for a processor, and how many were
-- longer than the limit.
local function gaps(app)
  local gap, held, long = run(app, [[
    local all = {}
    for i, name in ipairs { "gap", "held", "long" } do
      all[i] = state:get(name) or 0
      state:set(name, 0)
    end
    return table.concat(all, " ")]]):match("(%S+) (%S+) (%S+)")
  return { gap = tonumber(gap), held = tonumber(held), long = tonumber(long) }
end

local function worst(one, other)
  return { gap = math.max(one.gap, other.gap), held = math.max(one.held, other.held), long = one.long + other.long }
end

local function print_gaps(what, gap)
  print(("%-29s event loop held %6.2f ms at most, %d times over %d ms (%.2f ms when others had the processor)"):format(
    what, gap.held, gap.long, LIMITS.held, gap.gap))
end

-- Seconds of processor time that the host has kept from this machine: gaps that nobody here can explain.
local function stolen()
  return shell.read_file("/proc/stat"):match("^cpu" .. (" +%d+"):rep(7) .. " +(%d+)") / 100
end

-- Nanoseconds that all threads of the workers have run.
local function processor_time(app)
  local sum = 0
  for _, pid in ipairs(app:workers()) do
    for text in shell.check(("cat /proc/%d/task/*/schedstat"):format(pid)):gmatch("(%d+) %d+ %d+\n") do sum = sum + text end
  end
  return sum
end

-- Every event, by its own id. @return how many came more than once
local function check_arrival(receiver, ids)
  wait.for_condition("all events to arrive", ARRIVE_SECONDS, function() return receiver:deliveries() >= #ids end)
  local events, twice = receiver:events(), 0
  for _, id in ipairs(ids) do
    assert(events[id], "an event is lost: " .. id)
    if events[id].requests > 1 then twice = twice + 1 end
  end
  print(("%d events were emitted, %d arrived, %d of them more than once"):format(#ids, #ids, twice))
  return twice
end

local function drain(app)
  local drained = run(app, "return hooks:drain(60)")
  assert(drained == "true", drained)
end

local good = true

local function expect(what, value, limit)
  if value <= limit then return end
  good = false
  print(("TOO MUCH: %s: %.2f, the limit is %g"):format(what, value, limit))
end

local function measure_quiet(app)
  gaps(app)
  socket.sleep(QUIET_SECONDS)
  print_gaps("without load", gaps(app))
end

-- Turns with and without. @return the ids of what was emitted, and the two p99
local function measure_load(app)
  local ids, times = {}, { bare = {}, emit = {} }
  local gap = { bare = { gap = 0, held = 0, long = 0 }, emit = { gap = 0, held = 0, long = 0 } }
  load(app, "/warm/emit", 1, {}, ids)
  print_disk(app)
  for turn = 1, TURNS do
    for _, what in ipairs { "bare", "emit" } do
      drain(app)
      gaps(app)
      load(app, ("/%d/%s"):format(turn, what), SECONDS / TURNS, times[what], what == "emit" and ids or {})
      gap[what] = worst(gap[what], gaps(app))
    end
  end
  drain(app)
  print_disk(app)
  print_gaps("without emit", gap.bare)
  print_gaps("with emit", gap.emit)
  local without, with = print_times("without emit", times.bare), print_times("with emit", times.emit)
  expect("milliseconds that p99 is longer with emit", with - without, LIMITS.p99)
  expect("milliseconds that the event loop was held", gap.emit.held, LIMITS.held)
  return ids, with
end

local function measure_idle(app)
  run(app, [[state:delete("watching")]])
  drain(app)
  socket.sleep(1) -- outcomes reach the disk
  local before, began = processor_time(app), socket.gettime()
  socket.sleep(IDLE_SECONDS)
  local idle = (processor_time(app) - before) / 1e9 / (socket.gettime() - began) * 100
  print(("%-29s both workers use %.2f %% of a core"):format("idle", idle))
  expect("percent of a core when idle", idle, LIMITS.idle)
end

local function measure_hanging(app, receiver, p99)
  run(app, ([[for _, hook in ipairs(hooks.webhooks:list()) do
    assert(hooks.webhooks:update(hook.id, { url = %q }))
  end]]):format(receiver.url .. "/hang"))
  local times = {}
  load(app, "/hanging/emit", SECONDS / TURNS, times, {})
  expect("milliseconds that p99 is longer when the receiver hangs",
    print_times("with emit, receiver hangs", times) - p99, LIMITS.p99)
end

local function measure(app, receiver)
  print(("%d requests/s for %g s over %d connections, two workers, %s; the machine's load is %s"):format(
    RATE, SECONDS, CONNECTIONS, WHERE[arg[2] or ""], load_average()))
  local before = stolen()
  measure_quiet(app)
  local ids, p99 = measure_load(app)
  expect("events that came twice", check_arrival(receiver, ids), 0)
  measure_idle(app)
  if not EACH then measure_hanging(app, receiver, p99) end
  print(("the machine's load is %s; its host kept %.2f s of processor time from it"):format(load_average(), stolen() - before))
end

local receiver = counting_receiver.start()
local app = nginx_app.start {
  http = SENDER:gsub("%$(%u+)", { SUFFIX = EACH and "ngx.worker.id()" or "''", RECEIVER = receiver.url .. "/ok",
    FIRST = EACH and "true" or "ngx.worker.id() == 0" }),
  workers = 2, files = { ["bench.lua"] = BENCH }, folders = { "db" },
}
local ok, problem = xpcall(measure, debug.traceback, app, receiver)
app:stop()
receiver:stop()
if not ok then error(problem, 0) end
os.exit(good and 0 or 1)

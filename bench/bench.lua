-- Deliveries a second, from emit to logged (SQLite on disk, FULL sync), beside a bare curl-multi loop in C against the
-- same nginx in the same run. Usage: script/bench [deliveries]
local process = require "spec.support.process"
local socket = require "socket"
local temp = require "spec.support.temp"
local webhook = require "webhook"
local wait = require "spec.support.wait"

local COUNT = tonumber(arg[1]) or 20000
local CONNECTIONS = 64

local CONF = [[
daemon off; master_process off; worker_processes 1; pid %s/pid; error_log %s/error.log;
events { worker_connections 2048; }
http {
  access_log off; keepalive_requests 100000000; client_body_buffer_size 64k;
  server { listen 127.0.0.1:%d backlog=1024; location / { return 200 "ok"; } }
}
]]

local function free_port()
  local probe = assert(socket.bind("127.0.0.1", 0))
  local _, port = probe:getsockname()
  probe:close()
  return tonumber(port)
end

local function start_nginx(folder)
  local port = free_port()
  local file = assert(io.open(folder:file("nginx.conf"), "w"))
  file:write(CONF:format(folder.path, folder.path, port))
  file:close()
  local nginx = process.spawn({ "/usr/sbin/nginx", "-p", folder.path, "-c", folder:file("nginx.conf") }, {})
  wait.for_condition("nginx to listen", 10, function()
    local connection = socket.connect("127.0.0.1", port)
    return connection and connection:close()
  end)
  return nginx, ("http://127.0.0.1:%d/"):format(port)
end

local event = webhook.events.job_finished {
  id = "16555c02-a320-4bec-a14a-52754d783970", appId = "70922e93-0944-48cc-a560-61135ab291ad", status = "canceled",
  appBuildId = "647d1fe4-9cb7-4f25-afaf-7a0c13a1bb8c", organizationId = "a7249949-a705-4952-a293-a06df84950dc",
  stack = "macos-tahoe", createdAt = 1771143256161, pendingAt = 1771143256381, inProgressAt = 1771143275311,
  finishedAt = 1771143284003, createdBy = "f624e455-b19c-4f17-8282-e4a7a02597f3",
}

local ways = {
  { "emit, one by one", function(hooks) for _ = 1, COUNT do assert(hooks:emit(event)) end end },
  { "emit_all, by hundreds", function(hooks)
    local batch = {}
    for i = 1, 100 do batch[i] = event end
    for _ = 1, COUNT // 100 do assert(hooks:emit_all(batch)) end
  end },
  { "durable = false, then flush", function(hooks)
    for _ = 1, COUNT do
      while not hooks:emit(event, { durable = false }) do assert(hooks:flush()) end
    end
    assert(hooks:flush())
  end },
}

local function measure(folder, url, number, way)
  local hooks <close> = assert(webhook.open(folder:file(("bench%d.db"):format(number)), {
    allow_networks = { "127.0.0.0/8" }, connections = CONNECTIONS }))
  assert(hooks.webhooks:create { name = "bench", url = url, events = { "*" }, app_id = event.data.appId,
    signing_secret = "It's a Secret to Everybody" })
  local began = socket.gettime()
  way(hooks)
  assert(hooks:drain(300))
  local rate = COUNT / (socket.gettime() - began)
  local logged = hooks.log:where({ status = "succeeded" }):count()
  assert(logged == COUNT, ("%d of %d logged as succeeded"):format(logged, COUNT))
  return rate
end

local folder = temp.folder()
local nginx, url = start_nginx(folder)
local function bare()
  local pipe = assert(io.popen(("./build/bare %s %d %d"):format(url, COUNT, CONNECTIONS)))
  local rate = tonumber(pipe:read("a"))
  pipe:close()
  return assert(rate, "the bare loop printed no figure")
end

print(("%d deliveries, %d connections, one nginx on the same machine"):format(COUNT, CONNECTIONS))
print(("%-30s %12s %8s"):format("", "a second", "ratio"))
for number, way in ipairs(ways) do
  local yardstick = bare() -- beside each measurement: other work on the machine hits both
  print(("%-30s %12.0f"):format("bare curl-multi loop in C", yardstick))
  local rate = measure(folder, url, number, way[2])
  print(("%-30s %12.0f %7.0f%%"):format(way[1], rate, 100 * rate / yardstick))
end
nginx:kill("TERM")
nginx:wait(10)
nginx:close()
folder:remove()

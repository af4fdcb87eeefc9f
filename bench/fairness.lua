-- What others cost one webhook: the time from emit to arrival of an event every 10 ms, alone, beside a webhook with
-- 100,000 deliveries waiting, and beside 200 webhooks that answer after 10 s. Usage: script/bench fairness [seconds]
local process = require "spec.support.process"
local http = require "socket.http"
local socket = require "socket"
local temp = require "spec.support.temp"
local webhook = require "webhook"
local wait = require "spec.support.wait"

local SECONDS = tonumber(arg[1]) or 20 -- each part
local EVERY = 0.01 -- seconds between the events that are measured
local WAITING, SLOW = 100000, 200

local CONF = [[
load_module /usr/lib/nginx/modules/ndk_http_module.so;
load_module /usr/lib/nginx/modules/ngx_http_lua_module.so;
daemon off; master_process off; worker_processes 1; pid FOLDER/pid; error_log FOLDER/error.log;
events { worker_connections 4096; }
http {
  access_log off; keepalive_requests 100000000; client_body_buffer_size 64k;
  lua_shared_dict latencies 64m;
  server {
LISTEN
    location /measured { content_by_lua_block {
      ngx.update_time()
      local now = ngx.now()
      ngx.req.read_body()
      local sent = tonumber(ngx.req.get_body_data():match('"sent":([%d.]+)'))
      ngx.shared.latencies:rpush("all", (now - sent) * 1000)
      ngx.sleep(0.02)
      ngx.print("ok")
    } }
    location /latencies { content_by_lua_block {
      while true do
        local one = ngx.shared.latencies:lpop("all")
        if not one then break end
        ngx.say(one)
      end
    } }
    location /soon { content_by_lua_block { ngx.sleep(0.02) ngx.print("ok") } }
    location /slow { content_by_lua_block { ngx.sleep(10) ngx.print("ok") } }
  }
}
]]

local function free_port()
  local probe = assert(socket.bind("127.0.0.1", 0))
  local _, port = probe:getsockname()
  probe:close()
  return port
end

local function start_nginx(folder)
  local port = free_port()
  local file = assert(io.open(folder:file("nginx.conf"), "w"))
  local listen = { ("    listen 127.0.0.1:%d backlog=4096;"):format(port) }
  for i = 1, SLOW do listen[i + 1] = ("    listen 127.0.1.%d:%d backlog=4096;"):format(i, port) end
  file:write((CONF:gsub("FOLDER", folder.path):gsub("LISTEN", table.concat(listen, "\n"))))
  file:close()
  local nginx = process.spawn({ "/usr/sbin/nginx", "-p", folder.path, "-c", folder:file("nginx.conf") }, {})
  wait.for_condition("nginx to listen", 10, function()
    local connection = socket.connect("127.0.0.1", port)
    return connection and connection:close()
  end)
  return nginx, "http://127.0.0.1:" .. port, "http://127.0.1.%d:" .. port
end

webhook.events.define("measured", { fields = { { "sent", "number" } } })
local filler = webhook.events.job_finished { id = "16555c02-a320-4bec-a14a-52754d783970", status = "canceled" }

local function create(hooks, name, url)
  return assert(hooks.webhooks:create { name = name, app_id = name, url = url, events = { "*" } })
end

-- `count` more deliveries for an app, from where they wait in the store.
local function fill(hooks, app, count)
  local list = {}
  for i = 1, 500 do list[i] = filler end
  for _ = 1, count / 500 do assert(hooks:emit_all(list, { app_id = app })) end
end

local others = {
  { "alone", function() end },
  { "beside 100,000 waiting for one", function(hooks, url)
    create(hooks, "long", url .. "/soon")
    fill(hooks, "long", WAITING)
  end },
  { "beside 200 that take 10 s", function(hooks, _, hosts)
    for i = 1, SLOW do
      create(hooks, "slow" .. i, hosts:format(i) .. "/slow")
      fill(hooks, "slow" .. i, 500)
    end
  end },
}

local function percentile(sorted, part) return sorted[math.max(1, math.ceil(#sorted * part))] end

local function measure(folder, url, hosts, number, prepare)
  local hooks <close> = assert(webhook.open(folder:file(("fair%d.db"):format(number)), {
    allow_networks = { "127.0.0.0/8" }, close_timeout = 0 }))
  create(hooks, "measured", url .. "/measured")
  assert(hooks:emit(webhook.events.measured { sent = socket.gettime() }, { app_id = "measured" })) -- the first connection
  prepare(hooks, url, hosts)
  http.request(url .. "/latencies")
  local count = math.floor(SECONDS / EVERY)
  local began = socket.gettime()
  for i = 1, count do
    local now = socket.gettime()
    assert(hooks:emit(webhook.events.measured { sent = now }, { app_id = "measured" }))
    socket.sleep(math.max(0, began + i * EVERY - socket.gettime()))
  end
  local latencies = {}
  wait.for_condition("all to arrive", 60, function()
    for line in http.request(url .. "/latencies"):gmatch("[^\n]+") do latencies[#latencies + 1] = tonumber(line) end
    return #latencies >= count
  end)
  table.sort(latencies)
  return latencies, hooks:stats()
end

local folder = temp.folder()
local nginx, url, hosts = start_nginx(folder)
print(("%d events, one every %g ms, to a receiver that takes 20 ms: from emit to arrival"):format(SECONDS / EVERY, EVERY * 1000))
print(("%-32s %8s %8s %8s %10s"):format("", "p50 ms", "p99 ms", "max ms", "waiting"))
for round = 1, 3 do
  for number, other in ipairs(others) do
    local latencies, stats = measure(folder, url, hosts, round * 10 + number, other[2])
    print(("%-32s %8.2f %8.2f %8.2f %10d"):format(other[1], percentile(latencies, 0.5), percentile(latencies, 0.99),
      latencies[#latencies], stats.pending))
  end
end
nginx:kill("TERM")
nginx:wait(10)
nginx:close()
folder:remove()

-- A receiver for many events: an nginx that counts the requests for each event (its data's id) and Webhook-Id, and forgets the
-- rest. It answers at once at /ok, and after ten seconds at /hang (which is not counted).
local http = require("socket.http")
local nginx_app = require("spec.support.nginx_app")

local counting_receiver = {}

local Receiver = {}
Receiver.__index = Receiver

local HTTP = [[
  lua_shared_dict requests 256m;
  lua_shared_dict sums 1m;
  keepalive_requests 1000000000;
  server {
    listen 127.0.0.1:$PORT backlog=4096;
    client_body_buffer_size 64k;
    location = /ok {
      content_by_lua_block {
        ngx.req.read_body()
        local event = ngx.req.get_body_data():match('"data":{"id":"([^"]+)"')
        local key = event .. " " .. ngx.var.http_webhook_id
        -- Not incr's initial value: nginx's Lua module 0.10.23 forgets a key then whose CRC is another's.
        local added, _, evicted = ngx.shared.requests:add(key, 1)
        if added then ngx.shared.sums:incr("deliveries", 1, 0) else evicted = not ngx.shared.requests:incr(key, 1) end
        if evicted then ngx.shared.sums:set("full", true) end
        ngx.header["Content-Length"] = 2
        ngx.print("ok")
      }
    }
    location = /hang {
      content_by_lua_block { ngx.sleep(10) ngx.print("ok") }
    }
    location = /deliveries {
      content_by_lua_block { ngx.print(ngx.shared.sums:get("deliveries") or 0, " ", ngx.shared.sums:get("full") and "full" or "") }
    }
    location = /requests {
      content_by_lua_block {
        local requests = ngx.shared.requests
        for _, key in ipairs(requests:get_keys(0)) do ngx.say(requests:get(key), " ", key) end
      }
    }
  }
]]

function counting_receiver.start()
  local app = nginx_app.start({ http = HTTP })
  return setmetatable({ app = app, url = app.url }, Receiver)
end

local function get(self, path)
  local body, status = http.request(self.url .. path)
  assert(status == 200, "the receiver answered " .. tostring(status))
  return body
end

--- The number of deliveries that have arrived.
function Receiver:deliveries()
  local count, full = get(self, "/deliveries"):match("^(%d+) (%a*)")
  assert(full == "", "the receiver's memory is full")
  return tonumber(count)
end

--- Table: event's id -> { requests = how many, ids = under how many Webhook-Ids }
function Receiver:events()
  local events = {}
  for count, event in get(self, "/requests"):gmatch("(%d+) (%S+) %S+\n") do
    local entry = events[event] or { requests = 0, ids = 0 }
    entry.requests, entry.ids = entry.requests + tonumber(count), entry.ids + 1
    events[event] = entry
  end
  return events
end

function Receiver:stop()
  self.app:stop()
end

Receiver.__close = Receiver.stop

return counting_receiver

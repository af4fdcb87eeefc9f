-- The receiver's side inside nginx (LuaJIT): runs as content handler and, at
-- the end of each request, as log handler.
local cjson = require("cjson")

local counts = ngx.shared.counts -- totals per path, connections, concurrency
local ids = ngx.shared.ids -- Webhook-Id -> number of requests
local flaky = ngx.shared.flaky -- path and Webhook-Id -> number of requests
local last = ngx.shared.last -- path -> the last request
local order = ngx.shared.order -- path and number -> when a request came, and its Webhook-Id
local meta = ngx.shared.meta -- survives a reset

local CHUNK = 64 * 1024
local HUGE_CHUNKS = 16 * 1024 -- 1 GiB
local FOREVER_SECONDS = 3600
local TRICKLE_SECONDS = 0.05

local function add(dict, key, amount)
  -- Not incr's initial value: nginx's Lua module 0.10.23 forgets a key then whose CRC is another's.
  local _, _, evicted = dict:add(key, 0)
  local value, problem = dict:incr(key, amount)
  if not value or evicted then
    ngx.log(ngx.ERR, "the receiver's memory is full: ", problem or "entries evicted", " at ", key)
  end
  return value
end

local function generation()
  return meta:get("generation") or 0
end

if ngx.get_phase() == "log" then
  local path = ngx.ctx.recorded_path
  if path and ngx.ctx.generation == generation() then
    add(counts, "active:" .. path, -1)
    add(counts, "active:", -1)
  end
  return
end

local function read_body()
  ngx.req.read_body()
  local body = ngx.req.get_body_data()
  if body then
    return body
  end
  local name = ngx.req.get_body_file()
  if not name then
    return ""
  end
  local file = assert(io.open(name, "rb"))
  body = file:read("*a")
  file:close()
  return body
end

local function request_headers()
  local headers = {}
  for name, value in pairs(ngx.req.get_headers(0)) do
    headers[name] = value
  end
  return headers
end

local function count_active(path)
  local active = add(counts, "active:" .. path, 1)
  if active > (counts:get("max:" .. path) or 0) then
    counts:set("max:" .. path, active)
  end
end

local function enter(path)
  ngx.ctx.recorded_path = path
  ngx.ctx.generation = generation()
  count_active(path)
  count_active("")
  local connection = ngx.var.connection
  if counts:add("connection:" .. path .. ":" .. connection, true) then
    add(counts, "connections:" .. path, 1)
  end
  if counts:add("connection::" .. connection, true) then
    add(counts, "connections:", 1)
  end
end

local function record(path, id)
  local body = read_body()
  -- A reset that came while the body was read makes this request forgotten.
  if ngx.ctx.generation ~= generation() then
    return
  end
  local number = add(counts, "total:" .. path, 1)
  order:set(path .. "\n" .. number, ngx.now() .. " " .. (id or "-"))
  add(counts, "total:", 1)
  if id then
    add(ids, id, 1)
  end
  local headers = cjson.encode(request_headers())
  last:set(path .. "\nheaders", headers)
  last:set(path .. "\nprotocol", ngx.var.server_protocol)
  last:set(path .. "\ncaller", ngx.var.ssl_client_s_dn)
  local stored, problem = last:set(path .. "\nbody", body)
  if not stored then
    ngx.log(ngx.ERR, "cannot keep the body for ", path, ": ", problem)
  end
end

local function answer(status, body, content_type)
  ngx.status = status
  ngx.header["Content-Type"] = content_type or "text/plain"
  if body then
    ngx.header["Content-Length"] = #body
    ngx.print(body)
  end
  ngx.exit(ngx.OK)
end

local function answer_json(value)
  answer(200, cjson.encode(value), "application/json")
end

local control = {}

control["/_stats"] = function(arguments)
  local path = arguments.path or ""
  answer_json({
    total = counts:get("total:" .. path) or 0,
    connections = counts:get("connections:" .. path) or 0,
    max_concurrent = counts:get("max:" .. path) or 0,
    active = counts:get("active:" .. path) or 0,
    sent = counts:get("sent:" .. path) or 0,
  })
end

control["/_count"] = function(arguments)
  answer(200, tostring(ids:get(arguments.id or "") or 0))
end

control["/_ids"] = function()
  local lines = {}
  for _, id in ipairs(ids:get_keys(0)) do
    lines[#lines + 1] = (ids:get(id) or 0) .. " " .. id .. "\n"
  end
  answer(200, table.concat(lines))
end

control["/_last"] = function(arguments)
  local path = arguments.path or ""
  local headers = last:get(path .. "\nheaders")
  if not headers then
    return answer(404, "nothing was received there")
  end
  answer_json({
    headers = cjson.decode(headers),
    body = ngx.encode_base64(last:get(path .. "\nbody") or ""),
    protocol = last:get(path .. "\nprotocol"),
    caller = last:get(path .. "\ncaller"),
  })
end

control["/_order"] = function(arguments)
  local lines = {}
  for number = 1, counts:get("total:" .. arguments.path) or 0 do
    local line = order:get(arguments.path .. "\n" .. number)
    if not line then
      return answer(500, "the receiver has forgotten the order")
    end
    lines[number] = line .. "\n"
  end
  answer(200, table.concat(lines))
end

control["/_reset"] = function()
  add(meta, "generation", 1)
  for _, dict in ipairs({ counts, ids, flaky, last, order }) do
    dict:flush_all()
    dict:flush_expired()
  end
  answer(200, "reset")
end

local locations = {}

locations["ok"] = function()
  answer(200, "ok")
end

locations["status"] = function(argument)
  local status = tonumber(argument)
  if status == 204 or status == 304 then
    return answer(status)
  end
  answer(status, "status " .. status)
end

locations["flaky"] = function(argument, path, id)
  local seen = add(flaky, path .. " " .. (id or ""), 1)
  if seen <= tonumber(argument) then
    return answer(500, "not yet")
  end
  answer(200, "ok")
end

-- The first requests, of whatever delivery, fail.
locations["outage"] = function(argument, path)
  if add(flaky, path, 1) <= tonumber(argument) then
    return answer(500, "not yet")
  end
  answer(200, "ok")
end

-- The first request of a delivery is told to wait so many seconds.
locations["throttled"] = function(argument, path, id)
  if add(flaky, path .. " " .. (id or ""), 1) > 1 then
    return answer(200, "ok")
  end
  ngx.header["Retry-After"] = argument
  answer(429, "slow down")
end

locations["hang"] = function()
  ngx.sleep(FOREVER_SECONDS)
end

locations["huge"] = function(_, path)
  local chunk = ("x"):rep(CHUNK)
  for _ = 1, HUGE_CHUNKS do
    if not ngx.print(chunk) or not ngx.flush(true) then
      return
    end
    add(counts, "sent:" .. path, CHUNK)
  end
end

locations["echo-headers"] = function()
  answer_json(request_headers())
end

locations["slow"] = function(argument)
  ngx.sleep(tonumber(argument) / 1000)
  answer(200, "ok")
end

-- One byte at a time: as many as the path says, or without end.
locations["trickle"] = function(argument)
  for _ = 1, tonumber(argument) or math.huge do
    if not ngx.print(".") or not ngx.flush(true) then
      return
    end
    ngx.sleep(TRICKLE_SECONDS)
  end
end

locations["binary"] = function()
  answer(200, "\0\1\127\128\200\255\0end\195\40", "application/octet-stream")
end

-- A header field of so many bytes, and a body of as many.
locations["large-answer"] = function(argument)
  ngx.header["X-Large"] = ("h"):rep(tonumber(argument))
  answer(200, ("\0\255"):rep(tonumber(argument) / 2), "application/octet-stream")
end

locations["redirect"] = function()
  ngx.redirect("/ok", 302)
end

locations["reset"] = function()
  ngx.exit(444)
end

local path = ngx.var.uri

if control[path] then
  return control[path](ngx.req.get_uri_args())
end

local name, argument = path:match("^/([%a-]+)/?([^/]*)$")
local id = ngx.var.http_webhook_id
if ngx.req.get_method() == "POST" then
  enter(path)
  record(path, id)
end
if not locations[name] then
  return answer(404, "no such place")
end
return locations[name](argument, path, id)

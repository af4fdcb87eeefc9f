-- examples/openresty/, started for real by its own script.
local cjson = require("cjson")
local http = require("socket.http")
local ltn12 = require("ltn12")
local nginx_app = require("spec.support.nginx_app")
local process = require("spec.support.process")
local temp = require("spec.support.temp")
local wait = require("spec.support.wait")

local openresty_example = {}

local Example = {}
Example.__index = Example

local START_SECONDS = 10
local QUIT_SECONDS = 20
local REQUEST_SECONDS = 15
local START_ATTEMPTS = 3

local function try_start(self)
  local port = nginx_app.free_port()
  self.url = "http://127.0.0.1:" .. port
  self.process = process.spawn({ "examples/openresty/run", port, self.folder.path }, {
    env = { LW_BUILD = nginx_app.build(), LD_PRELOAD = false, ASAN_OPTIONS = false, NGINX = false },
  })
  wait.for_condition("the example to answer", START_SECONDS, function()
    return not self.process:running() or self:get("/log") == 200
  end)
  return self.process:running()
end

--- Starts it on a free port, with its data in a temporary folder. It has url, process, folder.
function openresty_example.start()
  local self = setmetatable({ folder = temp.folder() }, Example)
  for attempt = 1, START_ATTEMPTS do
    local ok, running = pcall(try_start, self)
    if ok and running then
      return self
    end
    local output = self.process:output()
    self.process:close()
    -- Another program may take the free port before nginx does: try again.
    if attempt == START_ATTEMPTS or not output:find("Address already in use", 1, true) then
      self.folder:remove()
      error("the example did not start: " .. (ok and "" or running) .. "\n" .. output, 2)
    end
  end
end

local function request(self, method, path, headers, body)
  http.TIMEOUT = REQUEST_SECONDS
  local pieces = {}
  local _, status = http.request({
    url = self.url .. path, method = method, headers = headers, source = body and ltn12.source.string(body),
    sink = ltn12.sink.table(pieces),
  })
  return status, table.concat(pieces)
end

--- @return status, body
function Example:get(path)
  return request(self, "GET", path)
end

--- @return status, body
function Example:post(path, body, headers)
  local all = { ["Content-Length"] = #body }
  for name, value in pairs(headers or {}) do
    all[name] = value
  end
  return request(self, "POST", path, all, body)
end

--- Subscribes the example to itself.
function Example:subscribe()
  local status, body = self:post("/webhooks", cjson.encode({ url = self.url .. "/hooks" }))
  assert(status == 201, body)
end

--- What /log or /received says, decoded.
function Example:list(path)
  local status, body = self:get(path)
  assert(status == 200, body)
  return cjson.decode(body)
end

--- Lets it finish, and removes its folder.
function Example:stop()
  if not self.folder.path then
    return
  end
  self.process:kill("QUIT")
  local ended = pcall(self.process.wait, self.process, QUIT_SECONDS)
  local output = self.process:output()
  self.process:close()
  self.folder:remove()
  if not ended then
    error("the example did not quit:\n" .. output, 2)
  end
end

Example.__close = Example.stop

return openresty_example

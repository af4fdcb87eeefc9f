-- Servers of the specs that are Lua programs: each writes its ports, as JSON, into the file its second argument
-- names, and ends with the process that its first one names.
local cjson = require("cjson")
local flavour = require("spec.support.flavour")
local process = require("spec.support.process")
local shell = require("spec.support.shell")
local temp = require("spec.support.temp")
local wait = require("spec.support.wait")

local server = {}

local Server = {}
Server.__index = Server

local START_SECONDS = 30
local FOLDER = debug.getinfo(1, "S").source:match("^@(.*)server%.lua$")

--- Starts spec/support/<name>.lua; what follows are more arguments for it.
-- @return a server with `ports`, by name
function server.start(name, ...)
  local self = setmetatable({ folder = temp.folder() }, Server)
  local file = self.folder:file("ports.json")
  local parent = shell.check("echo $PPID"):gsub("%s+$", "")
  self.process = process.start(FOLDER .. name .. ".lua", {
    args = { parent, file, ... },
    env = { LD_PRELOAD = false, ASAN_OPTIONS = false, UBSAN_OPTIONS = false },
  })
  local text = wait.for_condition(name .. " to listen", START_SECONDS, function()
    if not self.process:running() then
      error(name .. " ended: " .. self.process:output(), 0)
    end
    return shell.read_file(file)
  end)
  self.ports = cjson.decode(text)
  for key, port in pairs(self.ports) do
    self.ports[key] = flavour.whole(tonumber(port))
  end
  return self
end

--- True until it has failed.
function Server:running()
  return self.process:running()
end

function Server:output()
  return self.process:output()
end

function Server:stop()
  self.process:close()
  self.folder:remove()
end

Server.__close = Server.stop

return server

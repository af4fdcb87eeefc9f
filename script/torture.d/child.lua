-- Emits one event after the other until the stop file appears, then drains. Says what became of each at once.
-- arg: database, prefix of the events' ids, stop file
local socket = require "socket"
local webhook = require "webhook"

local PAUSE = 0.01 -- seconds after a refusal
local DRAIN_SECONDS = 120

local path, prefix, stop = arg[1], arg[2], arg[3]
io.stdout:setvbuf("no")
local hooks = assert(webhook.open(path, { allow_networks = { "127.0.0.0/8" }, lease = 2 }))

local function stopped()
  local file = io.open(stop)
  if file then file:close() end
  return file ~= nil
end

local number = 0
while not stopped() do
  number = number + 1
  local id = prefix .. number
  local message, problem, code = hooks:emit(webhook.events.job_finished { id = id, appId = "app", status = "failed" })
  if message then
    print("stored " .. id)
  else
    print("refused " .. code .. " " .. problem)
    socket.sleep(PAUSE)
  end
end
assert(hooks:drain(DRAIN_SECONDS))
assert(hooks:close())

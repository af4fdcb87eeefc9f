--- The dispatcher, as `webhook.open` returns it.
local core = require "webhook.core"
local care = require "webhook.care"
local check = require "webhook.check"
local events = require "webhook.events"
local log = require "webhook.log"
local webhooks = require "webhook.webhooks"

local hooks = {}
hooks.__index = hooks
hooks.__name = "webhook.dispatcher"

local OPEN = {
  allow_networks = "list", timeout = "positive", connect_timeout = "positive", connections = "integer",
  close_timeout = "number", max_response_body = "integer", retry = "never|list", user_agent = "string",
  ca_file = "string", lease = "positive", retention = "positive",
  idempotency_window = "positive",
}
local EMIT = { app_id = "string", id = "string", durable = "boolean" }
local EMIT_ALL = { app_id = "string", durable = "boolean" }
local WAIT_SLICE = 0.25 -- seconds; between slices Lua's hooks run, so that Ctrl-C ends a wait

local function check_range(options, name, low, high, level)
  local value = options[name]
  if value and (value < low or value > high) then
    error(("webhook.open: option '%s' must be %d to %d"):format(name, low, high), level + 1)
  end
end

--- Opens a dispatcher on a store. See webhook.open.
function hooks.open(path, options)
  if type(path) ~= "string" or path == "" then error("webhook.open: a path expected", 3) end
  options = options or {}
  check.options(options, OPEN, "webhook.open", 3)
  check_range(options, "connections", 1, 1024, 3)
  check_range(options, "max_response_body", 0, 64 * 1024 * 1024, 3)
  check_range(options, "lease", 1, 3600, 3)
  check_range(options, "close_timeout", 0, 86400, 3)
  for i, delay in ipairs(options.retry or {}) do
    if type(delay) ~= "number" or not (delay >= 0 and delay <= 30 * 86400) then
      error(("webhook.open: option 'retry': delay %d must be 0 to 2592000 seconds"):format(i), 3)
    end
  end
  local handle, message, code = core.open(path, options)
  if not handle then return nil, message, code end
  return setmetatable({
    handle = handle,
    webhooks = setmetatable({ handle = handle }, webhooks),
    log = log.new(handle, {}),
  }, hooks)
end

-- Raises at the line that called the method.
local function open_handle(self)
  if not self.handle:is_open() then error("attempt to use a closed dispatcher", 3) end
  return self.handle
end

local function check_event(event, what, level)
  if type(event) ~= "table" or type(event.event) ~= "string" then
    error(what .. ": an event { event = name, data = {…} } expected", level + 1)
  end
  if type(event.data) ~= "table" then error(what .. ": event.data must be a table", level + 1) end
  if events.is_known(event.event) then return true end
  return nil, ("unknown event '%s'%s: define it with webhook.events.define"):format(event.event,
    events.suggestion(event.event)), "invalid_event"
end

-- The app of an event: the option, else data.appId, else none ("").
local function app_of(event, options)
  if options.app_id then return options.app_id end
  local app_id = event.data.appId
  return type(app_id) == "string" and app_id or ""
end

local function emit(self, list, options, what)
  local apps, presentations = {}, {}
  for i, event in ipairs(list) do
    local ok, message, code = check_event(event, what, 3)
    if not ok then return nil, message, code, i end
    apps[i] = app_of(event, options)
    presentations[i], message, code = events.presentation(event)
    if presentations[i] == nil then return nil, message, code, i end
  end
  return self.handle:emit(list, apps, options.id, options.durable ~= false, presentations)
end

--- Says what happened. Returns once it is on disk, or with durable = false once it is queued.
-- @param event    { event = name, data = {…} }
-- @param options  app_id (default data.appId), id (idempotency key: if the app used it before, within
--                 idempotency_window, nothing is sent and the first message comes back), durable (true)
-- @return the message { id, event, app_id, deliveries, duplicate }, or nil, message, code ("invalid_event", "busy", "full", …)
function hooks:emit(event, options)
  options = options or {}
  check.options(options, EMIT, "emit", 2)
  open_handle(self)
  local messages, message, code = emit(self, { event }, options, "emit")
  if not messages then return nil, message, code end
  return messages[1]
end

--- The same for a list of events: one commit for all of them, or none.
-- @return a list of messages, or nil, message, code
function hooks:emit_all(list, options)
  options = options or {}
  check.options(options, EMIT_ALL, "emit_all", 2)
  open_handle(self)
  if type(list) ~= "table" then error("emit_all: a list of events expected", 2) end
  if #list == 0 then return {} end
  local messages, message, code, index = emit(self, list, options, "emit_all")
  if messages then return messages end
  return nil, index and ("event %d: %s"):format(index, message) or message, code
end

local function in_slices(timeout, step)
  local left = timeout or math.huge
  repeat
    local slice = math.min(left, WAIT_SLICE)
    left = left - slice
    local ok, message, code = step(slice)
    if ok or message ~= "timeout" and code ~= "timeout" or left <= 0 then return ok, message, code end
  until false
end

--- Waits until all that was emitted so far is on disk. @param timeout seconds; nil: no limit
function hooks:flush(timeout)
  local handle = open_handle(self)
  return in_slices(timeout, function(slice) return handle:flush(slice) end)
end

--- Waits until nothing is in flight or due. @return true, or nil, "timeout", what is left
function hooks:drain(timeout)
  local handle = open_handle(self)
  return in_slices(timeout, function(slice) return handle:drain(slice) end)
end

--- Counts since open (events, attempts, succeeded, failed), now (queued, in_flight), and in the store (pending, due).
function hooks:stats()
  local stats, message, code = open_handle(self):stats()
  return stats, message, code
end

--- Stores what is queued, lets running requests end within `timeout` (default: close_timeout), leaves the rest to the
-- next process. A second call does nothing. @return true, or nil, message, code
function hooks:close(timeout) return self.handle:close(timeout) end

for name, method in pairs(care) do hooks[name] = method end

hooks.__close = function(self) self:close() end
hooks.__tostring = function(self)
  return self.handle:is_open() and "webhook.dispatcher (open)" or "webhook.dispatcher (closed)"
end

return hooks

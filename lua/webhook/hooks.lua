--- The dispatcher, as `webhook.open` returns it.
local care = require "webhook.care"
local check = require "webhook.check"
local choice = require "webhook.choice"
local encryption = require "webhook.encryption"
local events = require "webhook.events"
local log = require "webhook.log"
local observer = require "webhook.observer"
local settings = require "webhook.settings"
local wait = require "webhook.wait"
local webhooks = require "webhook.webhooks"

local hooks = {}
hooks.__index = hooks
hooks.__name = "webhook.dispatcher"

local OPEN = {
  timeout = "positive", connect_timeout = "positive", connections = "integer", max_in_flight_per_host = "integer",
  close_timeout = "number", lease = "positive", logger = "function", on_disabled = "function", retention = "positive",
  idempotency_window = "positive", wait = "function", encryption_key = "string", old_encryption_keys = "list",
}
for name, kind in pairs(settings.OPTIONS) do OPEN[name] = OPEN[name] or kind end
local EMIT = { app_id = "string", id = "string", durable = "boolean", channels = "list" }
local EMIT_ALL = { app_id = "string", durable = "boolean", channels = "list" }
local STATS = { per_webhook = "boolean" }

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
  encryption.check(options, 3)
  check_range(options, "connections", 1, 1024, 3)
  check_range(options, "max_in_flight_per_host", 1, 1024, 3)
  check_range(options, "max_response_body", 0, 64 * 1024 * 1024, 3)
  check_range(options, "lease", 1, 3600, 3)
  check_range(options, "close_timeout", 0, 86400, 3)
  local defaults, problem = settings.read(options, "webhook.open", 3)
  if not defaults then error("webhook.open: " .. problem, 3) end
  local way = wait.new(options.wait)
  local opened, message, code = way:open(path, options, defaults)
  if not opened then return nil, message, code end
  way.observer = observer.new(way.handle, options)
  return setmetatable({
    way = way, -- to call the core; log and webhooks have it too
    observer = way.observer,
    webhooks = setmetatable({ way = way }, webhooks),
    log = log.new(way, {}),
  }, hooks)
end

-- Raises at the line that called the method.
local function open_way(self)
  if not self.way.handle:is_open() then error("attempt to use a closed dispatcher", 3) end
  local told = self.observer and self.observer:drain() or 0
  return self.way, told
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

-- Called by the methods, whose caller errors point at.
local function emit(self, list, options, what)
  local apps, presentations = {}, {}
  local channels, problem, kind
  if options.channels then
    channels, problem, kind = choice.channels(options.channels, what, 3)
    if not channels then return nil, problem, kind end
  end
  for i, event in ipairs(list) do
    local ok, message, code = check_event(event, what, 3)
    if not ok then return nil, message, code, i end
    apps[i] = app_of(event, options)
    presentations[i], message, code = events.presentation(event)
    if presentations[i] == nil then return nil, message, code, i end
  end
  if options.durable == false or not self.way:possible() then -- returns at once
    return self.way.handle:emit(list, apps, options.id, false, presentations, channels)
  end
  return self.way:call("emit", list, apps, options.id, true, presentations, channels)
end

--- Says what happened. Returns once it is on disk, or with durable = false once it is queued; so it does too in those phases
-- of nginx that cannot wait (log, header_filter, body_filter, set, balancer): the message's `durable` says which.
-- @param event    { event = name, data = {…} }
-- @param options  app_id (default data.appId), id (idempotency key: if the app used it before, within
--                 idempotency_window, nothing is sent and the first message comes back), durable (true), channels (a list:
--                 of the webhooks that have channels, only those with one of these get it)
-- @return the message { id, event, app_id, durable, deliveries, duplicate } (only queued: without the last two), or
--         nil, message, code ("invalid_event", "busy", "full", …)
function hooks:emit(event, options)
  options = options or {}
  check.options(options, EMIT, "emit", 2)
  open_way(self)
  local messages, message, code = emit(self, { event }, options, "emit")
  if not messages then return nil, message, code end
  return messages[1]
end

--- The same for a list of events: one commit for all of them, or none.
-- @return a list of messages, or nil, message, code
function hooks:emit_all(list, options)
  options = options or {}
  check.options(options, EMIT_ALL, "emit_all", 2)
  open_way(self)
  if type(list) ~= "table" then error("emit_all: a list of events expected", 2) end
  if #list == 0 then return {} end
  local messages, message, code, index = emit(self, list, options, "emit_all")
  if messages then return messages end
  return nil, index and ("event %d: %s"):format(index, message) or message, code
end

--- Waits until all that was emitted so far is on disk. @param timeout seconds; nil: no limit
-- @return true, or nil, message, "timeout" | a store's code
function hooks:flush(timeout)
  local ok, message, code = open_way(self):flush(timeout)
  return ok, message, code
end

--- Waits until nothing is in flight or due. @return true, or nil, "timeout", what is left
function hooks:drain(timeout)
  local ok, message, code = open_way(self):drain(timeout)
  return ok, message, code
end

--- Counts.
--
-- - Since this dispatcher was opened: `events`; `attempts`, which are `succeeded` and `failed`, and the failed ones by kind in
--   `errors` (timeout, dns, connect, tls, reset, refused_address, too_large, network, status_3xx, status_4xx, status_5xx,
--   other); deliveries `given_up` and `canceled`; `webhooks_disabled` (not those that their owner disabled);
--   `store_failures`, `leases_lost`, `records_dropped`, `logger_errors`.
-- - Now: `queued` events; deliveries `in_flight` (claimed), of those `requests` under way; `breakers_open`: webhooks that
--   fail and are called less and less.
-- - In the store, whoever sends it: deliveries `pending`, of those `due` (nobody has claimed them), `oldest_due_seconds` (how
--   long the one that is due longest waits; 0 when none does).
-- @param options  per_webhook = true adds `webhooks` = { [id] = { pending, due, oldest_due_seconds, succeeded, failed } } for
--                 every webhook, counted in the store: this reads the whole log
-- @return a table, or nil, message, code
function hooks:stats(options)
  options = options or {}
  check.options(options, STATS, "stats", 2)
  local way = open_way(self)
  local stats, message, code = way:call("stats")
  if not stats then return nil, message, code end
  stats.logger_errors = self.observer and self.observer.errors or 0
  if options.per_webhook then
    stats.webhooks, message, code = way:call("webhook_stats")
    if not stats.webhooks then return nil, message, code end
  end
  return stats
end

--- The same for Prometheus, with histograms of the attempts' durations and the deliveries' latencies.
-- @return text (exposition format 0.0.4: serve it as `text/plain; version=0.0.4`), or nil, message, code
function hooks:metrics()
  local text, message, code = open_way(self):call("metrics")
  return text, message, code
end

--- Calls `logger` and `on_disabled` for what happened since. Every method of the dispatcher does so too (those of
-- hooks.webhooks and hooks.log do not); an application that calls none for a while calls this one, from a timer.
-- @return the number of records
function hooks:poll()
  local _, told = open_way(self)
  return told
end

--- A descriptor for the application's own event loop: readable as long as records wait for `logger` or `on_disabled`, or,
-- with a `wait` function, a call is ready that its coroutine has not fetched. It belongs to the dispatcher: only look at it.
-- @return a number; or nil, message, "descriptor"
function hooks:fd()
  local fd, message, code = open_way(self).completions:fd()
  return fd, message, code
end

--- Handles what made the descriptor readable: calls `logger` and `on_disabled`. The same as poll.
-- @return the number of records
function hooks:step()
  local _, told = open_way(self)
  return told
end

--- Stores what is queued, lets running requests end within `timeout` (default: close_timeout), leaves the rest to the
-- next process. A second call does nothing. @return true, or nil, message, code
function hooks:close(timeout)
  local ok, message, code = self.way:close(timeout)
  if self.observer then self.observer:finish() end
  return ok, message, code
end

for name, method in pairs(care) do hooks[name] = method end

hooks.__close = function(self) self:close() end
hooks.__tostring = function(self)
  return self.way.handle:is_open() and "webhook.dispatcher (open)" or "webhook.dispatcher (closed)"
end

return hooks

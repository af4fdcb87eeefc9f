--- The delivery log, used like a table: newest first, read lazily in pages.
-- `log[id]`, `#log`, `log:count()`, `log:each()`, `log:where{…}`, `log:resend()`; `pairs(log)` from Lua 5.2 on.
local check = require "webhook.check"

-- A delivery has id, message_id, webhook_id, app_id, event, status, reason, created_at, next_attempt_at, attempt_count,
-- request_body, attempts, and what its last attempt has. An attempt has number, trigger ("emit", "test", "retry",
-- "resend"), sent_at, duration, response_status_code, response_headers, response_body, error. The response is kept up to
-- max_response_body bytes of the body and 8 KB of headers, byte for byte; response_body_cut and response_headers_cut are
-- true where there was more.

local log = {}
local methods = {}
local views = setmetatable({}, { __mode = "k" }) -- log -> { way, filter }

local FILTER = { webhook_id = "string", event = "string", status = "string", since = "integer", before = "integer" }
local RESEND = { progress = "function" }
local STATUS = { pending = true, succeeded = true, failed = true, canceled = true }

-- A record reads its attempts when they are first asked for.
local record_methods = {}
local ways = setmetatable({}, { __mode = "k" }) -- record -> way
local record_meta = { __name = "webhook.delivery" }

function record_meta.__index(record, name)
  if name ~= "attempts" then return record_methods[name] end
  local attempts = assert(ways[record]:call("log_attempts", record.id))
  rawset(record, "attempts", attempts)
  return attempts
end

function record_meta.__tostring(record)
  return ("delivery %s (%s, %s)"):format(record.id, record.event, record.status)
end

--- A new attempt of the same delivery: same id, same body bytes.
-- @return true, or nil, message, "pending" | "not_found" | a store's code
function record_methods:resend()
  local count, message, code = ways[self]:call("log_resend", { id = self.id })
  if not count then return nil, message, code end
  if count == 1 then return true end
  local now, problem, problem_code = ways[self]:call("log_page", { id = self.id })
  if not now then return nil, problem, problem_code end
  if now[1] and now[1].status == "pending" then
    return nil, "the delivery is pending already", "pending"
  end
  return nil, "the delivery or its webhook is gone, or the webhook is disabled", "not_found"
end

local function wrap(way, record)
  ways[record] = way
  return setmetatable(record, record_meta)
end

--- Calls `progress`. It may raise, and it may close the dispatcher, which raises here.
function log.report(way, progress, done)
  progress(done)
  if not way.handle:is_open() then error("attempt to use a closed dispatcher", 0) end
end

--- Sends again what the filter finds, in steps. @return how many, or nil, message, code
function log.resend(way, filter, progress)
  local step = {}
  for name, value in pairs(filter) do step[name] = value end
  local total, after = 0, nil
  repeat
    local count, last, before = way:call("log_resend", step, after)
    if not count then return nil, last, before end
    total, after, step.before = total + count, last, before or step.before
    if count > 0 and progress then log.report(way, progress, total) end
  until not after
  return total
end

local function page(view, after)
  return assert(view.way:call("log_page", view.filter, after))
end

--- How many deliveries the log holds.
function methods:count() return assert(views[self].way:call("log_count", views[self].filter)) end

--- Iterates over the deliveries, newest first.
-- @usage for id, delivery in log:each() do print(id, delivery.status) end
function methods:each()
  local view = views[self]
  local records, at = nil, 0
  return function()
    if records == nil or at == #records then
      local last = records and records[at]
      if records and not last then return nil end
      records, at = page(view, last and last.id), 0
    end
    at = at + 1
    local record = records[at]
    if record then return record.id, wrap(view.way, record) end
  end
end

--- A narrower log.
-- @param filter webhook_id, event, status ("pending", "succeeded", "failed", "canceled"), since, before (milliseconds
--        since the epoch, of the emit)
function methods:where(filter)
  check.options(filter, FILTER, "log:where", 2)
  if filter.status and not STATUS[filter.status] then
    error(("log:where: unknown status '%s'%s"):format(filter.status, check.suggestion(filter.status, STATUS)), 2)
  end
  local merged = {}
  for name, value in pairs(views[self].filter) do merged[name] = value end
  for name, value in pairs(filter) do merged[name] = value end
  return log.new(views[self].way, merged)
end

--- Sends all finished deliveries of the log again (those of enabled webhooks), oldest first, in steps of 500.
-- @param options  progress: a function that is called after each step with the number of deliveries so far; optional
-- @return how many, or nil, message, code
-- @usage hooks.log:where({ status = "failed" }):resend { progress = function(done) print(done) end }
function methods:resend(options)
  options = options or {}
  check.options(options, RESEND, "log:resend", 2)
  local view = views[self]
  local count, message, code = log.resend(view.way, view.filter, options.progress)
  return count, message, code
end

local meta = { __name = "webhook.log", __len = methods.count, __pairs = methods.each }

function meta.__index(self, key)
  if methods[key] then return methods[key] end
  local view = views[self]
  local filter = { id = key }
  for name, value in pairs(view.filter) do filter[name] = value end
  local record = page({ way = view.way, filter = filter })[1]
  return record and wrap(view.way, record)
end

function meta.__newindex() error("the delivery log is read-only", 2) end
function meta.__tostring() return "webhook.log" end

-- In Lua 5.1 and LuaJIT `#` asks a userdata for __len, but no table: there a log is a userdata, so that `#log` is no
-- silent 0 (and pairs, which asks nobody, raises).
local new_log = function() return setmetatable({}, meta) end
if newproxy then
  local prototype = newproxy(true)
  for name, value in pairs(meta) do getmetatable(prototype)[name] = value end
  new_log = function() return newproxy(prototype) end
end

function log.new(way, filter)
  local self = new_log()
  views[self] = { way = way, filter = filter }
  return self
end

return log

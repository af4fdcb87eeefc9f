--- Care for the delivery log: methods of the dispatcher.
local check = require "webhook.check"
local events = require "webhook.events"
local log = require "webhook.log"
local samples = require "webhook.samples"

local care = {}

local PRUNE = { older_than = "number", limit = "integer", progress = "function" }
local RECOVER = { since = "integer", progress = "function" }
local RESUME = { progress = "function" }
local LONGEST = 1e9 -- seconds
local MANY = 2 ^ 53

-- Raises at the line that called the method.
local function open_way(self)
  if not self.way.handle:is_open() then error("attempt to use a closed dispatcher", 3) end
  return self.way
end

-- The record of a webhook that can be sent to; or nil, message, code.
local function enabled_webhook(self, id)
  local record, message, code = self.webhooks:get(id)
  if not record then return nil, message, code end
  if record.enabled then return record end
  return nil, ("the webhook '%s' is disabled: enable it with webhooks:update(id, { enabled = true })"):format(record.name),
    "disabled"
end

--- Sends a sample of an event to one webhook, whatever its `events` say, the way every event goes: stored, formatted,
-- signed, retried and logged. The trigger of its first attempt is "test".
-- @param webhook_id  where it goes
-- @param event_name  one of the four, or one that was defined: then its sample is made from the types of its fields
-- @return the message { id, event, app_id, deliveries, delivery_id }; or nil, message, "not_found" | "disabled" |
--         "invalid_event" (a function that says how the event reads failed on the sample) | a store's code
-- @usage local message = assert(hooks:send_test(hook.id, "job_finished"))
-- hooks:drain(20)
-- print(hooks.log[message.delivery_id].status)
function care:send_test(webhook_id, event_name)
  if type(webhook_id) ~= "string" then error("send_test: a webhook's id expected, got " .. type(webhook_id), 2) end
  if type(event_name) ~= "string" then error("send_test: an event's name expected, got " .. type(event_name), 2) end
  if not events.is_known(event_name) then
    error(("send_test: unknown event '%s'%s"):format(event_name, events.suggestion(event_name)), 2)
  end
  local way = open_way(self)
  local record, message, code = enabled_webhook(self, webhook_id)
  if not record then return nil, message, code end
  local event = samples.make(event_name, record.app_id)
  local presentation, problem, problem_code = events.presentation(event)
  if presentation == nil then return nil, problem, problem_code end
  local sent, why, why_code = way:call("emit", { event }, { record.app_id or "" }, nil, true, { presentation }, nil, record.id)
  if not sent then return nil, why, why_code end
  if sent[1].deliveries == 1 then return sent[1] end
  record, message, code = enabled_webhook(self, webhook_id) -- it changed meanwhile
  if record then message, code = "the webhook cannot be sent to", "disabled" end
  return nil, message, code
end

--- Sends everything again that did not reach a webhook: failed deliveries, and those that were canceled while it was
-- disabled. Oldest first, in steps of 500, each with its own id and bytes.
-- @param webhook_id  an enabled webhook
-- @param options     since: milliseconds since the epoch, of the emit (default: all); progress: a function that is
--                    called after each step with the number of deliveries so far
-- @return how many; or nil, message, "not_found" | "disabled" | a store's code
-- @usage hooks:recover(hook.id, { since = (os.time() - 3600) * 1000 })
function care:recover(webhook_id, options)
  if type(webhook_id) ~= "string" then error("recover: a webhook's id expected, got " .. type(webhook_id), 2) end
  options = options or {}
  check.options(options, RECOVER, "recover", 2)
  local way = open_way(self)
  local record, message, code = enabled_webhook(self, webhook_id)
  if not record then return nil, message, code end
  local filter = { webhook_id = record.id, since = options.since, unsuccessful = true }
  local count, why, why_code = log.resend(way, filter, options.progress)
  return count, why, why_code
end

-- The record of a webhook, enabled if it was not; or nil, message, code.
local function enable(self, id)
  local record, message, code = self.webhooks:get(id)
  if not record then return nil, message, code end
  if record.enabled then return record end
  return self.webhooks:update(id, { enabled = true })
end

--- Lets a webhook go on: enables it if it is disabled, which forgets the reason, and sends again what was canceled for it.
-- Oldest first, in steps of 500, each with its own id and bytes. What failed is left as it is; see recover.
-- @param webhook_id  a webhook, disabled or enabled
-- @param options     progress: a function that is called after each step with the number of deliveries so far
-- @return how many; or nil, message, "not_found" | "key" | "newer" | a store's code
-- @usage local hooks = assert(webhook.open("webhooks.db", { on_disabled = function(id, reason) tell_owner(id, reason) end }))
-- -- and when the owner says that it is mended
-- local count = assert(hooks:resume(id))
function care:resume(webhook_id, options)
  if type(webhook_id) ~= "string" then error("resume: a webhook's id expected, got " .. type(webhook_id), 2) end
  options = options or {}
  check.options(options, RESUME, "resume", 2)
  local way = open_way(self)
  local record, message, code = enable(self, webhook_id)
  if not record then return nil, message, code end
  local count, why, why_code = log.resend(way, { webhook_id = record.id, status = "canceled" }, options.progress)
  return count, why, why_code
end

-- Gives the space back that a prune left. @return true, or nil, message, code
local function shrink(way)
  local more, message, code
  repeat more, message, code = way:call("shrink_step") until not more
  if more == nil then return nil, message, code end
  return true
end

-- In steps, each a transaction of its own. `walk` is where the next one begins: at first with an age in seconds.
local function prune(way, walk, limit, progress)
  local total = 0
  repeat
    local count, rest, code = way:call("prune_step", walk, limit - total)
    if not count then return nil, rest, code end
    total, walk = total + count, rest
    if count > 0 and progress then log.report(way, progress, total) end
  until not walk or total >= limit
  if total > 0 then
    local done, message, code = shrink(way)
    if not done then return nil, message, code end
  end
  return total
end

--- Deletes finished deliveries (succeeded, failed, canceled; never pending ones) with their attempts, and the messages
-- that no delivery needs any more. It works in steps of about 500 rows, between which deliveries go on. The idempotency
-- key of a message that went is free again.
-- @param options  older_than: seconds since the delivery was made; limit: how many deliveries at most (default: all);
--                 progress: a function that is called after each step with the number of deliveries deleted so far
-- @return how many deliveries were deleted, or nil, message, code
-- @usage hooks:prune { older_than = 30 * 86400 }
function care:prune(options)
  check.options(options, PRUNE, "prune", 2)
  local age, limit = options.older_than, options.limit
  if age == nil then error("prune: 'older_than' is missing", 2) end
  if not (age >= 0 and age <= LONGEST) then error("prune: 'older_than' must be 0 to 1000000000 seconds", 2) end
  if limit and limit < 1 then error("prune: 'limit' must be 1 or more", 2) end
  local count, message, code = prune(open_way(self), age, limit or MANY, options.progress)
  return count, message, code
end

return care

--- Care for the delivery log: methods of the dispatcher.
local check = require "webhook.check"

local care = {}

local PRUNE = { older_than = "number", limit = "integer", progress = "function" }
local LONGEST = 1e9 -- seconds

-- Raises at the line that called the method.
local function open_handle(self)
  if not self.handle:is_open() then error("attempt to use a closed dispatcher", 3) end
  return self.handle
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
  local count, message, code = open_handle(self):prune(age, limit, options.progress)
  return count, message, code
end

return care

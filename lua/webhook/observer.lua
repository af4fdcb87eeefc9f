--- Hands what happened to the application's functions. The core's threads only write records down; here, on the thread of
-- the application, they are taken and its functions are called. What a function raises is caught and counted.
local observer = {}
observer.__index = observer

local MOST = 1000 -- records in one go: where more come than a logger can take, its caller goes on nevertheless

--- @return nil when the application gave no function
function observer.new(handle, options)
  if not options.logger and not options.on_disabled then return nil end
  return setmetatable({
    handle = handle, logger = options.logger, on_disabled = options.on_disabled, errors = 0, busy = false,
  }, observer)
end

local function call(self, fn, ...)
  if fn and not pcall(fn, ...) then self.errors = self.errors + 1 end
end

local function tell(self, record)
  local event, webhook_id, reason = record.event, record.webhook_id, record.reason -- a logger may change its record
  call(self, self.logger, record)
  if event == "webhook_disabled" then call(self, self.on_disabled, webhook_id, reason) end
end

--- Calls the functions for what waits. In one of them it does nothing: they may use the dispatcher.
-- @return the number of records
function observer:drain()
  if self.busy then return 0 end
  self.busy = true
  local count = 0
  while count < MOST do
    local record = self.handle:next_record()
    if not record then break end
    count = count + 1
    tell(self, record)
  end
  self.busy = false
  return count
end

--- The same until there is nothing left; for a dispatcher that is closed.
function observer:finish()
  repeat until self:drain() == 0
end

return observer

-- Waiting on conditions, never on a guessed length of time.
local socket = require("socket")

local wait = {}

local POLL_SECONDS = 0.005

--- Polls `fn` until it returns something true, and returns that.
-- Raises an error naming `what` was awaited once `seconds` have passed.
function wait.for_condition(what, seconds, fn)
  local deadline = socket.gettime() + seconds
  while true do
    local result = fn()
    if result then
      return result
    end
    if socket.gettime() >= deadline then
      error(("waited %g s in vain for: %s"):format(seconds, what), 2)
    end
    socket.sleep(POLL_SECONDS)
  end
end

return wait

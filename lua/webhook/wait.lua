--- How calls that take a while are waited for. The core does them on threads of its own; here one of these is chosen, for
-- each call:
--
-- - "block": the call waits, and with it the program. Plain Lua.
-- - "yield": the call is started, and the coroutine waits for it while others run: in nginx (wait_nginx.lua), and with a
--   function `wait` of the application, for its event loop.
-- - "never": in those phases of nginx that cannot wait, it is not made.
local core = require "webhook.core"
local nginx = type(ngx) == "table" and ngx.get_phase and require "webhook.wait_nginx" or nil

local wait = {}
wait.__index = wait

local SLICE = 0.25 -- seconds; between slices Lua's hooks run, so that Ctrl-C ends a wait
local LOOK = 0.02 -- seconds; how often a drain looks when it does not block
local LONGEST = 1 -- seconds that the application's function is asked to wait at a time

--- Waits for calls of one dispatcher, or for those of none.
-- @param fn  the application's wait(fd, seconds): returns when fd is readable or the time is up; or nil
function wait.new(fn)
  local self = { completions = assert(core.completions()), fn = fn, handle = nil, observer = nil }
  if fn then self.fd = assert(self.completions:fd()) end
  if nginx then nginx.prepare(self) end
  return setmetatable(self, wait)
end

-- In a coroutine, but in a C function's callback: string.gsub, table.sort, require. (Lua 5.1 cannot tell.)
local function stuck()
  local thread, main = coroutine.running()
  return thread ~= nil and not main and not core.may_yield()
end

--- "block", "yield" or "never", for what is called now.
function wait:manner()
  if self.fn then return stuck() and "block" or "yield" end
  return nginx and nginx.manner() or "block"
end

-- Waits until a pending call is ready. @return false when `deadline` came first (core.seconds(), or nil)
local function await(self, pending, deadline)
  if not self.fn then return nginx.await(self, pending, deadline) end
  while not pending:ready() do
    local left = deadline and deadline - core.seconds() or LONGEST
    if left <= 0 then return false end
    self.fn(self.fd, math.min(left, LONGEST))
    if self.observer then self.observer:drain() end -- it makes the descriptor readable, too
  end
  return true
end

local function fetch(self, pending, ...)
  if type(pending) ~= "userdata" then return pending, ... end
  await(self, pending)
  return pending:results()
end

-- Makes a call in the manner of the moment: `block` and `start` are the core's two functions for it.
local function make(self, block, start, ...)
  local manner = self:manner()
  if manner == "block" then return block(...) end
  if manner == "never" then return nil, nginx.refusal(), "phase" end
  return fetch(self, start(...))
end

--- Calls a method of the dispatcher.
function wait:call(name, ...)
  local handle = self.handle
  return make(self, handle[name], core.start[name], handle, ...)
end

--- core.open; from then on there is a dispatcher. @return true, or nil, message, code
function wait:open(path, options, settings)
  if nginx and nginx.before_workers() then
    return nil, "webhook.open in init_by_lua: threads do not survive the fork of the workers; open in init_worker_by_lua", "phase"
  end
  local handle, message, code = make(self, core.open, core.start.open, path, options, settings, self.completions)
  if not handle then return nil, message, code end
  self.handle = handle
  if nginx and not self.fn then nginx.opened(self) end
  return true
end

--- core.send
function wait:send(request) return make(self, core.send, core.start.send, request, self.completions) end

--- Closes the dispatcher.
function wait:close(timeout)
  if not self.handle:is_open() then return true end
  local ok, message, code = self:call("close", timeout)
  if nginx and code ~= "phase" then nginx.closed(self) end
  return ok, message, code
end

--- May it wait at all, and so promise that an event is on disk?
function wait:possible() return self:manner() ~= "never" end

-- -- waits with a timeout --------------------------------------------------------------------------------------------------

local function in_slices(self, timeout, step)
  local deadline = core.seconds() + (timeout or math.huge)
  repeat
    local left = math.max(deadline - core.seconds(), 0)
    local ok, message, code = step(self.handle, math.min(left, SLICE))
    if self.observer then self.observer:drain() end
    if ok or message ~= "timeout" and code ~= "timeout" or left <= SLICE then return ok, message, code end
  until false
end

local function flush(self, deadline)
  local pending, message, code = core.start.flush(self.handle)
  if not pending then return nil, message, code end
  if await(self, pending, deadline) then return pending:results() end
  return nil, "not all events are on disk yet; they stay queued", "timeout"
end

local function pause(self, seconds)
  if not self.fn then return nginx.sleep(seconds) end
  self.fn(self.fd, seconds)
  if self.observer then self.observer:drain() end
end

local function drain(self, deadline)
  while self.handle:is_open() do
    local late = deadline and core.seconds() >= deadline
    if late or self.handle:is_idle() then
      local left, message, code = self:call("left")
      if not left then return nil, message, code end
      if left == 0 and self.handle:is_open() and self.handle:is_idle() then return true end
      if late then return nil, "timeout", left end
    end
    pause(self, LOOK)
  end
  return nil, "the dispatcher is closed", "closed"
end

local function with_timeout(self, timeout, block, yield)
  local manner = self:manner()
  if manner == "block" then return in_slices(self, timeout, block) end
  if manner == "never" then return nil, nginx.refusal(), "phase" end
  return yield(self, timeout and core.seconds() + timeout)
end

--- Waits until all that was emitted so far is on disk. @param timeout seconds; nil: no limit
function wait:flush(timeout) return with_timeout(self, timeout, self.handle.flush, flush) end

--- Waits until nothing is in flight or due. @return true, or nil, "timeout", what is left
function wait:drain(timeout) return with_timeout(self, timeout, self.handle.drain, drain) end

return wait

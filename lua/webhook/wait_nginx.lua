--- Waiting in nginx: a light thread that waits for a call lets the worker serve others meanwhile.
--
-- The core says over a unix socket, one for each dispatcher and worker, that calls are ready. A light thread of a timer
-- reads it and posts the semaphores of those that wait. Where there is no reader (yet), they look every few milliseconds:
-- the socket is never needed, it is only cheaper.
local core = require "webhook.core"
local has_semaphores, semaphore = pcall(require, "ngx.semaphore") -- of lua-resty-core

local nginx = {}

local YIELDS = {
  rewrite = true, server_rewrite = true, access = true, content = true, timer = true, preread = true,
  ssl_cert = true, ssl_session_fetch = true, ssl_client_hello = true,
}
-- Nobody is served in these, so nobody waits.
local BLOCKS = { init = true, init_worker = true, exit_worker = true }

local FIRST_LOOK, LONGEST_LOOK = 0.001, 0.005 -- seconds
local SLICE = 1 -- seconds that a semaphore is waited for at a time
local TICK = 1 -- seconds; how often a reader looks whether it is still wanted
local RETRY = 10 -- seconds after which a reader is tried again that could not be had
local CONNECT, FOREVER = 1000, 2 ^ 31 - 1 -- milliseconds
local CHUNK = 4096 -- bytes

function nginx.manner()
  local phase = ngx.get_phase()
  -- In a C function's callback (string.gsub, or a module's body while `require` loads it) no coroutine can wait.
  if YIELDS[phase] then return core.may_yield() and "yield" or "block" end
  return BLOCKS[phase] and "block" or "never"
end

--- Why a call is not made in a phase that cannot wait.
function nginx.refusal()
  return ("%s_by_lua cannot wait: do it from ngx.timer.at"):format(ngx.get_phase())
end

function nginx.before_workers() return ngx.get_phase() == "init" end

function nginx.sleep(seconds) ngx.sleep(seconds) end

--- What a way of waiting (wait.new) has in nginx.
function nginx.prepare(way)
  way.waiting = setmetatable({}, { __mode = "v" }) -- a pending call's id -> who waits; gone with a thread that was killed
  way.reader = nil -- "starting", "reading"
  way.retry_at = 0
  way.permanent = false -- it lasts as long as the worker, and so does its reader
end

-- -- the reader ------------------------------------------------------------------------------------------------------------

local function wake_all(way)
  for _, waiter in pairs(way.waiting) do waiter.semaphore:post(1) end
end

local function wake_ready(way)
  for id in way.completions.next, way.completions do
    local waiter = way.waiting[id]
    if waiter then waiter.semaphore:post(1) end
  end
  if way.observer then way.observer:drain() end
end

local function retire(way)
  if way.handle then way.handle:retire() end
end

-- `ref.way` is weak: a reader keeps no dispatcher that the application has forgotten.
local function unwanted(ref)
  local way = ref.way
  if not way or way.handle and not way.handle:is_open() then return true end
  local nobody = next(way.waiting) == nil
  if ngx.worker.exiting() then
    retire(way)
    return nobody
  end
  return nobody and not way.permanent
end

-- Ends the reader by ending its connection: a read that times out would leave a line in nginx's log.
local function tick(ref, completions)
  repeat ngx.sleep(TICK) until unwanted(ref)
  completions:hang_up()
end

local function connect(completions)
  local path = completions:listen()
  if not path then return nil end
  local socket = ngx.socket.tcp()
  socket:settimeouts(CONNECT, CONNECT, FOREVER)
  local connected = socket:connect("unix:" .. path)
  local accepted = completions:accept() -- in any case: it takes the socket's name away
  return connected and accepted and socket or nil
end

local function served(ref)
  if ref.way then wake_ready(ref.way) end
  return ref.way ~= nil
end

local function ended(ref, retry_at)
  local way = ref.way
  if not way then return end
  way.reader, way.retry_at = nil, retry_at
  wake_all(way)
end

local function began(ref)
  if ref.way then ref.way.reader = "reading" end
  return served(ref)
end

local function read(premature, ref, completions)
  if premature then return ended(ref, 0) end
  local socket = connect(completions)
  if not socket then return ended(ref, ngx.now() + RETRY) end
  ngx.thread.spawn(tick, ref, completions)
  local more = began(ref)
  while more do more = socket:receiveany(CHUNK) and served(ref) end
  socket:close()
  ended(ref, 0)
end

local function start_reader(way)
  if way.reader or not has_semaphores or ngx.now() < way.retry_at or ngx.worker.exiting() then return end
  way.reader = "starting"
  local ref = setmetatable({ way = way }, { __mode = "v" })
  if ngx.timer.at(0, read, ref, way.completions) then return end
  way.reader, way.retry_at = nil, ngx.now() + RETRY
end

--- In init_worker_by_lua a dispatcher is opened for the worker's life: its reader also hands records to the logger, and
-- sees when the worker is to end.
function nginx.opened(way)
  way.permanent = ngx.get_phase() == "init_worker"
  if way.permanent then start_reader(way) end
end

function nginx.closed(way) way.completions:hang_up() end

-- -- waiting ---------------------------------------------------------------------------------------------------------------

local function wait_for_post(way, pending, waiter, seconds)
  way.waiting[pending:id()] = waiter
  waiter.semaphore:wait(seconds)
  way.waiting[pending:id()] = nil
end

--- Waits until a pending call is ready. @return false when `deadline` came first (core.seconds(), or nil)
function nginx.await(way, pending, deadline)
  local waiter, look = nil, FIRST_LOOK
  start_reader(way)
  while not pending:ready() do
    local left = deadline and deadline - core.seconds() or SLICE
    if left <= 0 then return false end
    if way.reader == "reading" then
      waiter = waiter or { semaphore = semaphore.new(0) }
      wait_for_post(way, pending, waiter, math.min(left, SLICE))
    else
      ngx.sleep(math.min(left, look))
      look = math.min(look * 2, LONGEST_LOOK)
    end
  end
  return true
end

return nginx

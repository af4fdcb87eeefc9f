--- Stores of what was received: with one in `options.seen`, webhook.verify refuses a webhook that comes a second time.
-- A store is any object with a method add(id, ttl): `id` is a string, `ttl` the seconds to remember it. It returns true when
-- the id is new, false when it is still remembered, and nil, message, code when it cannot tell; verify then refuses too.
-- Those here also have remove(id), which forgets an id (true, also when it was not remembered; or nil, message, code).
local core = require "webhook.core"
local check = require "webhook.check"

local seen = {}

-- The entries are a binary heap, the one that ends first at the root, and stand in `ids` by their id. Each knows its place.
local Memory = {}
Memory.__index = Memory
Memory.__name = "webhook.seen.memory"

local function put(heap, at, entry)
  heap[at] = entry
  entry.at = at
end

local function swap(heap, a, b)
  local entry = heap[a]
  put(heap, a, heap[b])
  put(heap, b, entry)
end

local function earlier(heap, a, b) return heap[a].ends < heap[b].ends end

local function move_up(heap, at)
  local parent = math.floor(at / 2)
  while at > 1 and earlier(heap, at, parent) do
    swap(heap, at, parent)
    at, parent = parent, math.floor(parent / 2)
  end
end

local function first_of(heap, at)
  local first, left, right = at, 2 * at, 2 * at + 1
  if left <= #heap and earlier(heap, left, first) then first = left end
  if right <= #heap and earlier(heap, right, first) then first = right end
  return first
end

local function move_down(heap, at)
  local first = first_of(heap, at)
  while first ~= at do
    swap(heap, at, first)
    at = first
    first = first_of(heap, at)
  end
end

local function forget(self, entry)
  local heap, at = self.heap, entry.at
  self.ids[entry.id] = nil
  local last = heap[#heap]
  heap[#heap] = nil
  if last == entry then return end
  put(heap, at, last)
  move_up(heap, at)
  move_down(heap, last.at)
end

function Memory:add(id, ttl)
  local heap, now = self.heap, self.clock()
  while heap[1] and heap[1].ends <= now do forget(self, heap[1]) end
  if self.ids[id] then return false end
  if #heap >= self.max then
    return nil, ("all %d places of the store of seen ids are taken"):format(self.max), "full"
  end
  local entry = { id = id, ends = now + ttl }
  self.ids[id] = entry
  put(heap, #heap + 1, entry)
  move_up(heap, #heap)
  return true
end

function Memory:remove(id)
  local entry = self.ids[id]
  if entry then forget(self, entry) end
  return true
end

--- Remembers in this Lua state. Full of ids that are still to be remembered, it refuses new ones with "full": forgetting one
-- would let it be replayed.
-- @param options  max: how many ids (10000); clock: a function that gives seconds (os.time)
-- @usage local store = webhook.seen.memory { max = 50000 }
function seen.memory(options)
  options = options or {}
  check.options(options, { max = "integer", clock = "function" }, "seen.memory", 2)
  local max = options.max or 10000
  if max < 1 then error("seen.memory: option 'max' must be 1 or more", 2) end
  return setmetatable({ max = max, clock = options.clock or os.time, heap = {}, ids = {} }, Memory)
end

local Shared = {}
Shared.__index = Shared
Shared.__name = "webhook.seen.shared"

function Shared:add(id, ttl)
  -- safe_add, because add would make room by forgetting ids that are still to be remembered.
  local added, message = self.dict:safe_add(id, true, ttl)
  if added then return true end
  if message == "exists" then return false end
  return nil, "the shared dictionary of seen ids: " .. tostring(message), message == "no memory" and "full" or "store"
end

function Shared:remove(id)
  self.dict:delete(id)
  return true
end

--- Remembers in a `lua_shared_dict` of nginx, for all its workers. Full, it refuses with "full".
-- @param dict  ngx.shared.NAME, used for nothing else
-- @usage local store = webhook.seen.shared(ngx.shared.webhooks_seen)
function seen.shared(dict)
  if (type(dict) ~= "table" and type(dict) ~= "userdata") or type(dict.safe_add) ~= "function" then
    error("seen.shared: a shared dictionary expected, as ngx.shared.NAME", 2)
  end
  return setmetatable({ dict = dict }, Shared)
end

--- Remembers in a SQLite file, for all processes of a machine and across restarts. An id that was added is on disk.
-- The store has add(id, ttl) and remove(id), which fail with "locked", "full" (the disk), "store", "closed" or "forked" (opened
-- before a fork), and close().
-- @param path  a file of its own, or ":memory:"
-- @return the store, or nil, message, code
-- @usage local store = assert(webhook.seen.sqlite("seen.db"))
function seen.sqlite(path)
  if type(path) ~= "string" or path == "" or path:find("\0", 1, true) then
    error("seen.sqlite: a path expected", 2)
  end
  return core.open_seen(path)
end

return seen

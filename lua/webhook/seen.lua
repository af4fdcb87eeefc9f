--- Stores of what was received: with one in `options.seen`, webhook.verify refuses a webhook that comes a second time.
-- A store is any object with a method add(id, ttl): `id` is a string, `ttl` the seconds to remember it. It returns true when
-- the id is new, false when it is still remembered, and nil, message, code when it cannot tell; verify then refuses too.
local core = require "webhook.core"
local check = require "webhook.check"

local seen = {}

-- The entries are a binary heap, the one that ends first at the root, and a set of their ids.
local Memory = {}
Memory.__index = Memory
Memory.__name = "webhook.seen.memory"

local function earlier(heap, a, b) return heap[a].ends < heap[b].ends end

local function swap(heap, a, b) heap[a], heap[b] = heap[b], heap[a] end

local function push(heap, entry)
  local at = #heap + 1
  heap[at] = entry
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

local function pop(heap)
  local root = heap[1]
  heap[1] = heap[#heap]
  heap[#heap] = nil
  local at, first = 1, #heap > 0 and first_of(heap, 1) or 1
  while first ~= at do
    swap(heap, at, first)
    at = first
    first = first_of(heap, at)
  end
  return root
end

function Memory:add(id, ttl)
  local heap, ids, now = self.heap, self.ids, self.clock()
  while heap[1] and heap[1].ends <= now do ids[pop(heap).id] = nil end
  if ids[id] then return false end
  if #heap >= self.max then
    return nil, ("all %d places of the store of seen ids are taken"):format(self.max), "full"
  end
  ids[id] = true
  push(heap, { id = id, ends = now + ttl })
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
-- The store has add(id, ttl), which fails with "locked", "full" (the disk), "store", "closed" or "forked" (opened before a
-- fork), and close().
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

-- What `local value <close>` does in Lua 5.4, for every Lua.
local unpack = table.unpack or unpack

local function pack(...)
  return { n = select("#", ...), ... }
end

--- Calls `fn(value)`, closes the value however that ends, and returns what `fn` returned.
return function(value, fn)
  local results = pack(xpcall(function()
    return fn(value)
  end, debug.traceback))
  getmetatable(value).__close(value)
  if not results[1] then
    error(results[2], 0)
  end
  return unpack(results, 2, results.n)
end

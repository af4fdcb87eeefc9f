--- Checking what callers pass: unknown names and wrong types raise at the caller's line.
local cjson = require "cjson"

local check = {}

--- Whether a value is webhook.null. (LuaJIT's cdata must not be compared with ==.)
function check.is_null(value)
  return rawequal(value, cjson.null)
end

local function distance(a, b)
  local previous = {}
  for j = 0, #b do previous[j] = j end
  for i = 1, #a do
    local current = { [0] = i }
    for j = 1, #b do
      local cost = a:byte(i) == b:byte(j) and 0 or 1
      current[j] = math.min(previous[j] + 1, current[j - 1] + 1, previous[j - 1] + cost)
    end
    previous = current
  end
  return previous[#b]
end

--- " (did you mean 'format'?)" for the known name closest to `name`, or "".
function check.suggestion(name, known)
  local best, best_distance
  for candidate in pairs(known) do
    if type(candidate) == "string" then
      local d = distance(name, candidate)
      if not best or d < best_distance or (d == best_distance and candidate < best) then
        best, best_distance = candidate, d
      end
    end
  end
  if best and best_distance <= math.max(1, math.floor(#name / 3)) then
    return (" (did you mean '%s'?)"):format(best)
  end
  return ""
end

local function matches(value, kind)
  for wanted in kind:gmatch("[%w_]+") do
    if type(value) == wanted then return true end
    if wanted == "integer" and type(value) == "number" and value % 1 == 0 and math.abs(value) < 2 ^ 53 then return true end
    if wanted == "positive" and type(value) == "number" and value > 0 and value < 1e9 then return true end
    if wanted == "list" and type(value) == "table" then return true end
    if wanted == "never" and value == false then return true end
    if wanted == "null" and check.is_null(value) then return true end
  end
  return false
end

--- Raises unless every field of `options` is in `known` (name -> kinds, as "string|list") and has such a type.
-- @param what   what the options are of, for the message
-- @param level  as for error(): 2 is the function that calls check.options
function check.options(options, known, what, level)
  level = level + 1
  if type(options) ~= "table" then
    error(("%s: a table expected, got %s"):format(what, type(options)), level)
  end
  for name, value in pairs(options) do
    local kind = known[name]
    if not kind then
      name = tostring(name)
      error(("%s: unknown option '%s'%s"):format(what, name, check.suggestion(name, known)), level)
    end
    if not matches(value, kind) then
      error(("%s: option '%s' must be %s, got %s"):format(what, name, (kind:gsub("|", " or ")), type(value)), level)
    end
  end
end

return check

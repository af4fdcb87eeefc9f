--- Integers that a Lua number may not hold: Lua 5.1 and LuaJIT have doubles, exact to 2^53 only.
local core = require "webhook.core"

local integer = {}

-- LuaJIT's int64_t and uint64_t (42LL, 42ULL) are integers too; nil elsewhere.
local is_ffi_integer
local ffi = package.loaded.jit and select(2, pcall(require, "ffi"))
if type(ffi) == "table" then
  local signed, unsigned = ffi.typeof("int64_t"), ffi.typeof("uint64_t")
  function is_ffi_integer(value) return ffi.istype(signed, value) or ffi.istype(unsigned, value) end
end

local function from_cdata(value)
  if is_ffi_integer and is_ffi_integer(value) then return core.integer((tostring(value):gsub("U?LL$", ""))) end
end

core.read_cdata_with(from_cdata)

--- True for what integer.new returns and for LuaJIT's 64-bit integers.
function integer.is_wide(value)
  return core.is_integer(value) or (is_ffi_integer ~= nil and type(value) == "cdata" and is_ffi_integer(value))
end

--- The nearest Lua number of any integer or number.
function integer.to_number(value)
  if type(value) == "number" then return value end
  return tonumber(type(value) == "cdata" and value or tostring(value))
end

local function from_number(value)
  if math.type and math.type(value) == "integer" then return core.integer(tostring(value)) end
  if value % 1 == 0 and math.abs(value) <= 2 ^ 53 then return core.integer(("%.0f"):format(value)) end
  return nil, "integer: a whole number expected, from -2^53 to 2^53: doubles beyond are not exact", "invalid"
end

--- See webhook.integer.
function integer.new(value, level)
  local kind = type(value)
  if kind == "string" then return core.integer(value) end
  if kind == "number" then return from_number(value) end
  if core.is_integer(value) then return value end
  local wide = kind == "cdata" and from_cdata(value)
  if wide then return wide end
  error(("integer: a string of decimal digits expected, got %s"):format(kind), level + 1)
end

return integer

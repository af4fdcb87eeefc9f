-- The Lua that runs the specs, and what not every Lua has.
local jit = package.loaded.jit

local flavour = {
  --- The command that runs scripts in this same Lua.
  interpreter = jit and "luajit" or "lua" .. _VERSION:match("%d+%.%d+"),
  --- `local x <close>`
  has_close = _VERSION == "Lua 5.4",
  --- __pairs
  has_pairs_metamethod = (pairs(setmetatable({}, { __pairs = function() return "mine" end }))) == "mine",
  --- 64-bit integers among the numbers
  has_integers = math.type ~= nil,
  --- `42LL`
  has_ffi_integers = jit ~= nil,
  --- os.exit(code, true) closes the state
  exit_may_close = _VERSION ~= "Lua 5.1" or jit ~= nil,
}

-- The environment variables of PUC Lua from 5.2 on have the version in their names.
local suffix = _VERSION == "Lua 5.1" and "" or _VERSION:gsub("Lua (%d+)%.(%d+)", "_%1_%2")

--- The environment in which a script finds the modules of the project in `root` and of this build.
function flavour.environment(root)
  local build = os.getenv("LW_BUILD") or "build"
  if build:sub(1, 1) ~= "/" then
    build = root .. "/" .. build
  end
  return {
    ["LUA_PATH" .. suffix] = ("%s/lua/?.lua;%s/lua/?/init.lua;%s/?.lua;;"):format(root, root, root),
    ["LUA_CPATH" .. suffix] = build .. "/?.so;;",
  }
end

--- The number as Lua 5.4 writes a whole one: without ".0".
function flavour.whole(number)
  return math.tointeger and math.tointeger(number) or number
end

--- True for a whole number, of the integer type where there is one.
function flavour.is_integer(number)
  return type(number) == "number" and number % 1 == 0 and (math.type == nil or math.type(number) == "integer")
end

return flavour

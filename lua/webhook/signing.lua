--- The schemes that what we send is signed by.
local check = require "webhook.check"

local signing = {}

--- All of them, and capawesome where nothing is said.
signing.schemes = { capawesome = true, standard = true }

--- A scheme's name or a list of names as { capawesome = true, standard = true }. Wrong types raise.
-- @return the set, or nil, message, "invalid"
function signing.read(value, what, level)
  if type(value) == "string" then value = { value } end
  local set = {}
  for i, name in ipairs(value) do
    if type(name) ~= "string" then
      error(("%s: signing[%d] must be a string, got %s"):format(what, i, type(name)), level + 1)
    end
    if not signing.schemes[name] then
      return nil, ("signing: unknown scheme '%s'%s"):format(name, check.suggestion(name, signing.schemes)), "invalid"
    end
    set[name] = true
  end
  if not next(set) then return nil, "signing: the list is empty", "invalid" end
  return set
end

--- The same as the core takes it: names joined by commas, or false for what is done where nothing is said.
function signing.text(value, what, level)
  local set, message, code = signing.read(value, what, level + 1)
  if not set then return nil, message, code end
  if not set.standard then return false end
  return set.capawesome and "capawesome,standard" or "standard"
end

return signing

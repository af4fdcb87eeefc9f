--- Which events a webhook gets: its events, filter and channels as the core takes them. Wrong types raise; what cannot be
-- returns nil, message, "invalid".
local cjson = require "cjson"
local core = require "webhook.core"
local check = require "webhook.check"
local events = require "webhook.events"
local integer = require "webhook.integer"

local choice = {}
local null = cjson.null

local SCALARS = { string = true, number = true, boolean = true }
local EXISTS = { exists = "boolean" }

local function is_scalar(value)
  return SCALARS[type(value)] or integer.is_wide(value) or rawequal(value, null)
end

local function wrong_value(field, value, level)
  error(("%s must be a string, number, boolean, webhook.null, a list of those or { exists = … }, got %s")
    :format(field, type(value)), level + 1)
end

-- A table is { exists = … }, or else a list.
local function table_test(path, value, field, level)
  local keys = 0
  for key in pairs(value) do
    if type(key) == "string" then
      check.options(value, EXISTS, field, level + 1)
      return { path = path, exists = value.exists }
    end
    keys = keys + 1
  end
  for i = 1, keys do
    if not is_scalar(value[i]) then wrong_value(("%s[%d]"):format(field, i), value[i], level + 1) end
  end
  return { path = path, list = value }
end

--- The text of a filter.
function choice.filter(filter, what, level)
  local entries = {}
  for path, value in pairs(filter) do
    if type(path) ~= "string" then
      error(("%s: filter: a field must be a string, got %s"):format(what, type(path)), level + 1)
    end
    local field = ("%s: filter: field '%s'"):format(what, path)
    if is_scalar(value) then
      entries[#entries + 1] = { path = path, value = value }
    elseif type(value) == "table" then
      entries[#entries + 1] = table_test(path, value, field, level + 1)
    else
      wrong_value(field, value, level + 1)
    end
  end
  table.sort(entries, function(a, b) return a.path < b.path end)
  return core.filter(entries)
end

--- The text of a list of channels.
function choice.channels(names, what, level)
  for i, name in ipairs(names) do
    if type(name) ~= "string" then
      error(("%s: channels[%d] must be a string, got %s"):format(what, i, type(name)), level + 1)
    end
  end
  return core.channels(names)
end

--- The text of a list of events; a name with a star may be of events that are defined later.
function choice.events(names, what, level)
  local parts = {}
  for i, name in ipairs(names) do
    if type(name) ~= "string" then
      error(("%s: events[%d] must be a string, got %s"):format(what, i, type(name)), level + 1)
    end
    if not name:find("*", 1, true) then
      if not events.is_known(name) then
        return nil, ("events: unknown event '%s'%s"):format(name, events.suggestion(name)), "invalid"
      end
    elseif not core.is_pattern(name) then
      return nil, ("events: '%s' is no pattern: 1 to 64 letters, digits, '_', '.', ':', '-' and '*'"):format(name), "invalid"
    end
    parts[i] = name
  end
  return table.concat(parts, ",")
end

return choice

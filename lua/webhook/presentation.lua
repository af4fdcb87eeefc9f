--- How the events of an application read as messages: what `events.define` and `events.present` are told.
-- A part is a string with {field} placeholders or a function of the data; the core fills the placeholders.
local check = require "webhook.check"

local presentation = {}

local PARTS = { title = "string|function", text = "string|function", severity = "string|function",
  link = "string|function", show = "list" }
local TEXTS = { "title", "text", "severity", "link" }
local SEVERITIES = { success = true, failure = true, warning = true, neutral = true, progress = true }
local MAX_TEMPLATE = 4096 -- bytes

-- The parts' kinds, merged into the options that `define` takes.
presentation.OPTIONS = PARTS

-- Calls visit(path) for every placeholder; returns what is wrong with the braces, or nil.
local function scan(template, visit)
  local at = 1
  while true do
    local start = template:find("[{}]", at)
    if not start then return nil end
    local brace = template:sub(start, start)
    if template:sub(start + 1, start + 1) == brace then
      at = start + 2
    elseif brace == "}" then
      return "'}' without '{' (write '}}' for a brace)"
    else
      local stop = template:find("[{}]", start + 1)
      if not stop or template:sub(stop, stop) == "{" or stop == start + 1 then
        return "'{' without a field name and '}' (write '{{' for a brace)"
      end
      visit(template:sub(start + 1, stop - 1))
      at = stop + 1
    end
  end
end

-- `types` are the fields of the event by name; empty: any field may come.
local function check_path(path, types, what, level)
  local name = path:match("^[^.]*")
  if next(types) and not types[name] then
    error(("%s: unknown field '%s'%s"):format(what, name, check.suggestion(name, types)), level + 1)
  end
end

local function check_template(template, types, what, level)
  if type(template) == "function" then return end
  if #template > MAX_TEMPLATE then error(("%s: longer than %d bytes"):format(what, MAX_TEMPLATE), level + 1) end
  local fault = scan(template, function(path) check_path(path, types, what, level + 3) end)
  if fault then error(("%s: %s"):format(what, fault), level + 1) end
end

local function check_severity(severity, what, level)
  if type(severity) ~= "string" or severity:find("{", 1, true) or SEVERITIES[severity] then return end
  error(("%s: unknown severity '%s'%s"):format(what, severity, check.suggestion(severity, SEVERITIES)), level + 1)
end

local function check_show(show, types, what, level)
  for i, entry in ipairs(show) do
    local name = ("%s[%d]"):format(what, i)
    if type(entry) == "string" then
      check_path(entry, types, name, level + 1)
    elseif type(entry) == "table" and type(entry[1]) == "string"
      and (type(entry[2]) == "string" or type(entry[2]) == "function") then
      check_template(entry[2], types, name, level + 1)
    else
      error(name .. ": a field's name, or { label, template or function } expected", level + 1)
    end
  end
end

--- Checks and keeps the parts in `options`; nil when it has none.
-- @param what   the function's name, for messages
-- @param types  the event's fields by name
function presentation.new(options, types, what, level)
  local parts = {}
  for _, name in ipairs(TEXTS) do
    local part = options[name]
    if part ~= nil then check_template(part, types, what .. ": " .. name, level + 1) end
    parts[name] = part
  end
  check_severity(options.severity, what .. ": severity", level + 1)
  if options.show then
    check_show(options.show, types, what .. ": show", level + 1)
    parts.show = {}
    for i, entry in ipairs(options.show) do
      parts.show[i] = type(entry) == "string" and { "", false, entry } or { entry[1], entry[2] }
    end
  end
  return next(parts) and parts or nil
end

-- What a function of the application says, as a template that says just that. nil leaves the part out.
local function call(part, data, what)
  local ok, text = pcall(part, data)
  if not ok then return nil, ("%s: %s"):format(what, tostring(text)) end
  local kind = type(text)
  if kind == "nil" then return nil end
  if kind == "number" or kind == "boolean" then text = tostring(text) end
  if type(text) ~= "string" then return nil, ("%s: the function returned a %s, not a string"):format(what, kind) end
  return (text:gsub("[{}]", "%0%0"))
end

local function resolve_show(show, data, what)
  local list = {}
  for i, entry in ipairs(show) do
    local value = entry[2]
    if type(value) == "function" then
      local problem
      value, problem = call(value, data, ("%s: show[%d]"):format(what, i))
      if problem then return nil, problem end
    end
    if value ~= nil then list[#list + 1] = { entry[1], value, entry[3] } end
  end
  return list
end

--- The parts for one event, their functions called.
-- @return a table for the core; or nil and what went wrong
function presentation.resolve(parts, event)
  local resolved = {}
  for _, name in ipairs(TEXTS) do
    local part, problem = parts[name]
    if type(part) == "function" then
      part, problem = call(part, event.data, event.event .. ": " .. name)
      if problem then return nil, problem end
    end
    resolved[name] = part
  end
  if parts.show then
    local problem
    resolved.show, problem = resolve_show(parts.show, event.data, event.event)
    if problem then return nil, problem end
  end
  return resolved
end

return presentation

--- hooks.webhooks: where events go. Wrong types and unknown names raise; a value that cannot be (a bad URL, an unknown
-- event) returns nil, message, "invalid".
local check = require "webhook.check"
local events = require "webhook.events"

local webhooks = {}
webhooks.__index = webhooks
webhooks.__name = "webhook.webhooks"

local FIELDS = {
  app_id = "string", name = "string", url = "string", format = "string", events = "list",
  signing_secret = "string|never", enabled = "boolean",
}

local function event_list(names, level)
  local parts = {}
  for i, name in ipairs(names) do
    if type(name) ~= "string" then
      error(("webhooks: events[%d] must be a string, got %s"):format(i, type(name)), level + 1)
    end
    if name ~= "*" and not events.is_known(name) then
      return nil, ("events: unknown event '%s'%s"):format(name, events.suggestion(name)), "invalid"
    end
    parts[i] = name
  end
  return table.concat(parts, ",")
end

-- The fields as the core takes them.
local function prepare(fields, what, level)
  check.options(fields, FIELDS, what, level + 1)
  local record = {}
  for name, value in pairs(fields) do
    if type(value) == "string" and value:find("\0", 1, true) then
      return nil, name .. ": holds a NUL byte", "invalid"
    end
    record[name] = value
  end
  if fields.events then
    local list, message, code = event_list(fields.events, level + 1)
    if not list then return nil, message, code end
    record.events = list
  end
  return record
end

--- Makes a webhook.
-- @param fields name, url, events (list of names, or { "*" }); optional: app_id, format ("raw"), signing_secret, enabled
-- @return the record (never with its secret), or nil, message, code
function webhooks:create(fields)
  local record, message, code = prepare(fields, "webhooks:create", 2)
  if not record then return nil, message, code end
  for _, name in ipairs { "name", "url", "events" } do
    if record[name] == nil then error(("webhooks:create: '%s' is missing"):format(name), 2) end
  end
  record.format = record.format or "raw"
  return self.handle:webhook_create(record)
end

--- @return the record, or nil, message, "not_found"
function webhooks:get(id) return self.handle:webhook_get(id) end

--- Changes the named fields; signing_secret = false clears it.
-- @return the record after the change, or nil, message, code
function webhooks:update(id, changes)
  local record, message, code = prepare(changes, "webhooks:update", 2)
  if not record then return nil, message, code end
  return self.handle:webhook_update(record, id)
end

--- Deletes it; what was waiting for it is canceled. @return true, or nil, message, code
function webhooks:delete(id) return self.handle:webhook_delete(id) end

--- @param filter app_id, query (part of the name or URL), limit (1000), offset (0); all optional
-- @return a list of records, oldest first, or nil, message, code
function webhooks:list(filter)
  filter = filter or {}
  check.options(filter, { app_id = "string", query = "string", limit = "integer", offset = "integer" },
    "webhooks:list", 2)
  return self.handle:webhook_list(filter)
end

return webhooks

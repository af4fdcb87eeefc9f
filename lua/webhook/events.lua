--- The events: four from the start, and those that the application defines.
-- Each is a builder: `events.job_finished { id = "…", appId = "…" }` checks names and types, fills what is missing with
-- null, derives the durations, and returns `{ event = "job_finished", data = { … } }`.
local cjson = require "cjson"
local core = require "webhook.core"
local check = require "webhook.check"
local integer = require "webhook.integer"
local presentation = require "webhook.presentation"

local events = {
  --- In a webhook's filter: the field is there and not null.
  exists = { exists = true },
}
local null = cjson.null

-- name -> { "id", "appId", …, id = 1, appId = 2, … }: the documented order, which the core reads too
local orders = {}
-- name -> { { "id", "string" }, … }: the fields as they were defined
local fields_of = {}
-- name -> { id = "string", … }
local types_of = {}
-- name -> how it reads, where the application said so
local presentations = {}

core.configure { orders = orders, array_mt = cjson.array_mt, empty_array = cjson.empty_array }

local TYPES = { string = true, number = true, integer = true, boolean = true, table = true, any = true }

local function type_matches(value, wanted)
  if wanted == "any" then return true end
  if (wanted == "integer" or wanted == "number") and integer.is_wide(value) then return true end
  if wanted == "integer" then return type(value) == "number" and value % 1 == 0 end
  return type(value) == wanted
end

-- A definition: { types = { id = "string", … }, derive = function or nil, values = { field = set } }
local function check_field(definition, name, value, what, level)
  local wanted = definition.types[name]
  if not wanted then
    error(("%s: unknown field '%s'%s"):format(what, tostring(name), check.suggestion(tostring(name), definition.types)),
      level + 1)
  end
  if value == null then return end
  if not type_matches(value, wanted) then
    error(("%s: field '%s' must be %s, got %s"):format(what, name, wanted, type(value)), level + 1)
  end
  local allowed = definition.values[name]
  if allowed and not allowed[value] then
    error(("%s: field '%s' cannot be '%s'%s"):format(what, name, value, check.suggestion(value, allowed)), level + 1)
  end
end

local function builder(name, order, definition)
  return function(fields)
    if type(fields) ~= "table" then
      error(("events.%s: a table expected, got %s"):format(name, type(fields)), 2)
    end
    for field, value in pairs(fields) do check_field(definition, field, value, "events." .. name, 2) end
    local data = {}
    for _, field in ipairs(order) do
      local value = fields[field]
      if value == nil then value = null end
      data[field] = value
    end
    if definition.derive then definition.derive(data) end
    return { event = name, data = data }
  end
end

local function add(name, fields, derive, values)
  local order, types = {}, {}
  for i, field in ipairs(fields) do
    order[i], order[field[1]], types[field[1]] = field[1], i, field[2]
  end
  local definition = { types = types, derive = derive, values = values or {} }
  orders[name], types_of[name], fields_of[name] = order, types, fields
  events[name] = builder(name, order, definition)
  return events[name]
end

local DEFINE = { fields = "list" }
for name, kind in pairs(presentation.OPTIONS) do DEFINE[name] = kind end

local function check_fields(fields)
  local seen = {}
  for i, field in ipairs(fields) do
    if type(field) ~= "table" or type(field[1]) ~= "string" or not TYPES[field[2]] then
      error(("events.define: field %d must be { name, type }, type one of string, number, integer, boolean, table, any")
        :format(i), 3)
    end
    if seen[field[1]] then error(("events.define: field '%s' stands twice"):format(field[1]), 3) end
    seen[field[1]] = field[2]
  end
  return seen
end

--- Defines an event of the application's own, and returns its builder.
-- In chats it reads well without more: the title is made from the name, and every scalar field is shown. The parts title,
-- text, severity and link are strings with {field} placeholders ({customer.name} goes into tables, {{ is a brace), or
-- functions of the data that return a string (nil: left out). An error in such a function fails the emit. The data is the
-- event's own: a function must not change it.
-- @param name     1 to 64 letters, digits, '_', '.', ':' or '-'
-- @param options  fields: a list of { name, type } in the order of the payload; type: string, number, integer, boolean,
--                 table or any. title, text; severity: success, failure, warning, neutral or progress; link: http(s),
--                 placeholders in it are percent-encoded; show: the fields that a message shows, each a name or
--                 { label, template or function }.
-- @usage webhook.events.define("invoice_paid", {
--   fields = { { "invoiceId", "string" }, { "amount", "number" } },
--   title = "Invoice {invoiceId} paid", severity = "success", show = { "amount" } })
function events.define(name, options)
  if type(name) ~= "string" or #name > 64 or not name:match("^[%w_.:-]+$") then
    error("events.define: a name is 1 to 64 letters, digits, '_', '.', ':' or '-'", 2)
  end
  if events[name] then error(("events.define: '%s' is defined already"):format(name), 2) end
  options = options or {}
  check.options(options, DEFINE, "events.define", 2)
  local fields = options.fields or {}
  local parts = presentation.new(options, check_fields(fields), "events.define", 2)
  presentations[name] = parts
  return add(name, fields)
end

--- Says how an event reads in chats, also one of the four; parts that are not named are made up as before.
-- @param name   the event
-- @param parts  title, text, severity, link, show, as in define
-- @usage webhook.events.present("job_finished", { link = "https://ci.example.com/jobs/{id}" })
function events.present(name, parts)
  if type(name) ~= "string" or not orders[name] then
    error(("events.present: unknown event '%s'%s"):format(tostring(name), check.suggestion(tostring(name), orders)), 2)
  end
  check.options(parts, presentation.OPTIONS, "events.present", 2)
  presentations[name] = presentation.new(parts, types_of[name], "events.present", 2)
end

--- How this event reads, for the core: a table, or false where the application said nothing.
-- @return nil, message, "invalid_event" when a function of the application failed
function events.presentation(event)
  local parts = presentations[event.event]
  if not parts then return false end
  local resolved, problem = presentation.resolve(parts, event)
  if not resolved then return nil, problem, "invalid_event" end
  return resolved
end

--- True when the name is one of the four or was defined.
function events.is_known(name) return orders[name] ~= nil end

--- The fields of an event, each { name, type }, in the order of the payload; nil where the name is not known.
function events.fields_of(name) return fields_of[name] end

--- " (did you mean …?)" for a name that is not known.
function events.suggestion(name) return check.suggestion(name, orders) end

local function seconds_between(from, to)
  if from == null or to == null then return null end
  return math.floor((integer.to_number(to) - integer.to_number(from)) / 1000)
end

local function derive_durations(data)
  local derived = {
    queueTimeInSeconds = seconds_between(data.queuedAt, data.pendingAt),
    pendingTimeInSeconds = seconds_between(data.pendingAt, data.inProgressAt),
    inProgressTimeInSeconds = seconds_between(data.inProgressAt, data.finishedAt),
    totalTimeInSeconds = seconds_between(data.createdAt, data.finishedAt),
  }
  for name, value in pairs(derived) do
    if data[name] == null then data[name] = value end
  end
end

local function set(...)
  local values = {}
  for _, value in ipairs { ... } do values[value] = true end
  return values
end

local job = {
  { "id", "string" }, { "appBuildId", "string" }, { "appDeploymentId", "string" }, { "appId", "string" },
  { "canceledAt", "integer" }, { "canceledBy", "string" }, { "finishedAt", "integer" }, { "inProgressAt", "integer" },
  { "inProgressTimeInSeconds", "integer" }, { "organizationId", "string" }, { "pendingAt", "integer" },
  { "pendingTimeInSeconds", "integer" }, { "queuedAt", "integer" }, { "queueTimeInSeconds", "integer" },
  { "stack", "string" }, { "status", "string" }, { "totalTimeInSeconds", "integer" }, { "createdAt", "integer" },
  { "createdBy", "string" },
}
local statuses = set("queued", "pending", "in_progress", "succeeded", "failed", "canceled", "rejected", "timed_out")
add("job_created", job, derive_durations, { status = statuses })
add("job_finished", job, derive_durations, { status = statuses })
add("app_build_created", {
  { "id", "string" }, { "appId", "string" }, { "appBuildArtifactId", "string" }, { "appBuildSourceId", "string" },
  { "appCertificateId", "string" }, { "appConfigurationId", "string" }, { "appEnvironmentId", "string" },
  { "gitRef", "string" }, { "jobId", "string" }, { "numberAsString", "string" }, { "packageName", "string" },
  { "packageVersion", "string" }, { "platform", "string" }, { "type", "string" }, { "createdAt", "integer" },
  { "createdBy", "string" }, { "updatedAt", "integer" },
}, nil, { platform = set("android", "ios", "web") })
add("app_deployment_created", {
  { "id", "string" }, { "appId", "string" }, { "appBuildId", "string" }, { "appChannelId", "string" },
  { "appChannelName", "string" }, { "appDestinationId", "string" }, { "appDestinationName", "string" },
  { "jobId", "string" }, { "rolloutPercentage", "number" }, { "createdAt", "integer" }, { "createdBy", "string" },
  { "updatedAt", "integer" },
})

return events

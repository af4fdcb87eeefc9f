--- Samples of events, for tests of a webhook: plausible values in every field.
local core = require "webhook.core"
local events = require "webhook.events"

local samples = {}

local SECOND = 1000

local function now()
  return os.time() * SECOND
end

local function job(status)
  local at = now()
  local finished = status == "succeeded"
  return {
    id = core.new_id(), appBuildId = core.new_id(), organizationId = core.new_id(), createdBy = core.new_id(),
    stack = "macos-tahoe", status = status, createdAt = at - 96 * SECOND, queuedAt = at - 96 * SECOND,
    pendingAt = finished and at - 92 * SECOND or nil, inProgressAt = finished and at - 88 * SECOND or nil,
    finishedAt = finished and at or nil,
  }
end

-- name -> function that returns the fields
local known = {
  job_created = function() return job("queued") end,
  job_finished = function() return job("succeeded") end,
  app_build_created = function()
    return {
      id = core.new_id(), appBuildArtifactId = core.new_id(), appBuildSourceId = core.new_id(),
      appCertificateId = core.new_id(), appConfigurationId = core.new_id(), appEnvironmentId = core.new_id(),
      gitRef = "main", jobId = core.new_id(), numberAsString = "128", packageName = "com.example.app",
      packageVersion = "2.4.1", platform = "ios", type = "app-store", createdAt = now(), createdBy = core.new_id(),
      updatedAt = now(),
    }
  end,
  app_deployment_created = function()
    return {
      id = core.new_id(), appBuildId = core.new_id(), appChannelId = core.new_id(), appChannelName = "production",
      appDestinationId = core.new_id(), appDestinationName = "App Store", jobId = core.new_id(), rolloutPercentage = 0.25,
      createdAt = now(), createdBy = core.new_id(), updatedAt = now(),
    }
  end,
}

local function text(name)
  if name:match("[Ii][Dd]$") then return core.new_id() end
  if name:match("[Uu][Rr][Ll]$") or name:match("[Ll]ink$") then return "https://example.com/sample" end
  if name:match("[Ee]mail$") then return "sample@example.com" end
  return "Sample " .. name
end

local function moment_or(number)
  return function(name) return (name:match("%lAt$") or name:match("_at$")) and now() or number end
end

local by_type = {
  string = text,
  any = text,
  number = moment_or(19.5),
  integer = moment_or(42),
  boolean = function() return true end,
  table = function() return {} end,
}

local function from_types(name)
  local fields = {}
  for _, field in ipairs(events.fields_of(name)) do fields[field[1]] = by_type[field[2]](field[1]) end
  return fields
end

--- A sample of an event that is known.
-- @param app_id  what its data.appId is; nil or "": made up
-- @return the event { event = name, data = {…} }
function samples.make(name, app_id)
  local fields = known[name] and known[name]() or from_types(name)
  if not app_id or app_id == "" then app_id = core.new_id() end
  for _, field in ipairs(events.fields_of(name)) do
    if field[1] == "appId" and (field[2] == "string" or field[2] == "any") then fields.appId = app_id end
  end
  return events[name](fields)
end

return samples

-- Only failed jobs to Slack: the filter is the one line. Usage: lua5.4 examples/failed_jobs.lua SLACK_URL
local webhook = require "webhook"

local url = arg[1]
if not url then
  io.stderr:write("usage: lua5.4 examples/failed_jobs.lua SLACK_URL\n")
  os.exit(2)
end

local hooks = assert(webhook.open ":memory:") -- a server gives a file
assert(hooks.webhooks:create {
  name = "failed jobs", url = url, format = "slack", app_id = "my-app", events = { "job_finished" },
  filter = { status = { "failed", "timed_out" } },
})

for _, status in ipairs { "succeeded", "failed", "canceled", "timed_out" } do
  local event = webhook.events.job_finished { id = "job-" .. status, appId = "my-app", status = status }
  local message = assert(hooks:emit(event))
  print(("%-10s %s"):format(status, message.deliveries == 1 and "goes to Slack" or "does not"))
end
hooks:drain(20)
for _, delivery in hooks.log:each() do
  print(delivery.event, delivery.status, delivery.response_status_code or delivery.error)
end
hooks:close()
